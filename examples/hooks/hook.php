<?php // [[hook]] command = "php /etc/leafmail/hook.php", stages = ["rcpt", "data"]
while (($line = fgets(STDIN)) !== false) {
    $question = json_decode($line, true);
    $answer = ["id" => $question["id"], "action" => "accept"];
    if ($question["context"]["stage"] == "rcpt" && str_starts_with(end($question["envelope"]["to"])["address"], "nobody@")) {
        $answer["action"] = "reject";
        $answer["response"] = ["status" => 550, "enhancedStatus" => "5.1.1", "message" => "no such user"];
    } elseif (str_contains($question["message"]["contents"] ?? "", "lottery")) {
        $answer["modifications"] = [["type" => "addHeader", "name" => "X-Lottery", "value" => "yes"]];
    }
    echo json_encode($answer), "\n";
}
