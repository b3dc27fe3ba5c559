#!/bin/sh
# [[hook]] command = "sh /etc/leafmail/hook.sh", stages = ["rcpt", "data"]
# An answer without an id is for the oldest question. Octets of the client never are outside of a JSON string.
while IFS= read -r question; do
    case $question in
    *'"stage":"rcpt"'*'"address":"nobody@'* | *'"address":"nobody@'*'"stage":"rcpt"'*)
        echo '{"action":"reject","response":{"status":550,"enhancedStatus":"5.1.1","message":"no such user"}}' ;;
    *lottery*) echo '{"action":"accept","modifications":[{"type":"addHeader","name":"X-Lottery","value":"yes"}]}' ;;
    *) echo '{"action":"accept"}' ;;
    esac
done
