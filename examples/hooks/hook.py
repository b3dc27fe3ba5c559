#!/usr/bin/env python3
# [[hook]] command = "python3 /etc/leafmail/hook.py", stages = ["rcpt", "data"]
import json, sys

for line in sys.stdin:
    question = json.loads(line)
    answer = {"id": question["id"], "action": "accept"}
    if question["context"]["stage"] == "rcpt" and question["envelope"]["to"][-1]["address"].startswith("nobody@"):
        answer |= {"action": "reject", "response": {"status": 550, "enhancedStatus": "5.1.1", "message": "no such user"}}
    elif "lottery" in question.get("message", {}).get("contents", ""):
        answer["modifications"] = [{"type": "addHeader", "name": "X-Lottery", "value": "yes"}]
    print(json.dumps(answer), flush=True)
