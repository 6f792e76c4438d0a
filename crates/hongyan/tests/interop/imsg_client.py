"""A client of the token API, written from its document alone: takes a token, sends as the examples do, changes the limits, asks
what was sent. Knows nothing of Hongyan."""
import base64
import json
import sys
import urllib.parse
import urllib.request


class Client:
    def __init__(self, base, username, password):
        self.base = base
        reply = self.post("/api/login", {"username": username, "password": password})
        assert reply["errorCode"] == 0 and reply["errorMessage"] == "OK", reply
        self.token = reply["token"]

    def request(self, url, body=None, headers={}):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + url, data, headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            assert response.status == 200
            return json.load(response)

    def post(self, url, body):
        return self.request(url, body, {"Content-Type": "application/json"})

    def send(self, to, method, content, attachment=None):
        body = {"token": self.token, "to": to, "method": method, "content": content}
        if attachment is not None:
            body["attachment"] = attachment
        return self.post("/api/send", body)

    def modify(self, username, **limits):
        return self.post("/api/modify/" + urllib.parse.quote(username), {"token": self.token, **limits})

    def query(self):
        return self.request("/api/query", headers={"token": self.token})


def check(reply, code, message):
    assert (reply["errorCode"], reply["errorMessage"]) == (code, message), reply


base = sys.argv[1]
user = Client(base, "天存-system-1001", "123456")
mail = {"subject": "hello", "text": "您好"}
ok = (0, "OK")

# 3: a mail, a mail to several, a mail with a file, an SMS, an SMS to several, WeChat.
check(user.send("zhang@163.com", "smtp", mail), *ok)
check(user.send(["zhang@163.com", "li@163.com", "wang@126.com"], "smtp", mail), *ok)
file = {"filename": "hello.md", "file": base64.b64encode("# 明天下雨\n".encode()).decode()}
check(user.send("zhang@163.com", "smtp", {"subject": "开会通知", "text": "下午两点半"}, file), *ok)
check(user.send("15912341256", "sms", "明天下雨"), *ok)
check(user.send(["15912341256", "13712341235"], "sms", "明天下雨"), *ok)
check(user.send("oZhang", "wechat", "明天下雨"), *ok)

# 6: what goes wrong.
check(user.send("oGone", "wechat", "明天下雨"), 10014, "用户未关注微信公众号")
check(user.send("oNobody", "wechat", "明天下雨"), 10015, "无此公众微信号")
check(user.send("refused@163.com", "smtp", mail), 10012, "系统内部错误")
several = user.send(["zhang@163.com", "refused@163.com"], "smtp", mail)
check(several, 10016, "见详情")
outcomes = {name: what["errorCode"] for one in several["details"] for name, what in one.items()}
assert outcomes == {"zhang@163.com": 0, "refused@163.com": 10012}, several
check(user.send("zhang@163.com", "smtp", "明天下雨"), 10009, "错误的消息内容格式")
check(user.send("zhang@163.com", "fax", "明天下雨"), 10008, "错误的发送方式")
check(user.send("zhang@163.com", "smtp", mail, {"filename": "a.txt", "file": "#####"}), 10010, "错误的附件内容格式")
check(user.send(["159####1256"], "sms", "明天下雨"), 10011, "无效的收件人")
check(user.post("/api/login", {"username": "nobody", "password": "123456"}), 10006, "用户不存在")
check(user.post("/api/login", {"username": "天存-system-1001", "password": "1"}), 10007, "密码错误")

# 4: the limits, changed by the administrator.
admin = Client(base, "admin", "123")
check(admin.modify("天存-system-1001", per_day="20", per_hour=5), 10017, "错误参数的类型")
check(admin.modify("天存-system-1001", per_day=20), 10002, "缺少必要请求参数")
check(admin.modify("天存-system-1001", per_day=20, per_hour=11, available=True), *ok)
check(user.send("zhang@163.com", "smtp", mail), *ok)
check(user.send("zhang@163.com", "smtp", mail), 10013, "超出发送消息的频率限制")
check(admin.modify("天存-system-1001", per_day=20, per_hour=100, available=False), *ok)
check(user.send("zhang@163.com", "smtp", mail), 10013, "超出发送消息的频率限制")

# 5: what was sent, the newest first.
history = user.query()
check(history, *ok)
rows = [history["total_data"][str(n)] for n in range(1, len(history["total_data"]) + 1)]
assert history["total"] == len(rows) == 17, history
assert [row["result"] for row in rows[:3]] == [False, False, True], rows[:3]
assert rows[0]["error"] == "超出发送消息的频率限制" and rows[2]["error"] == "OK", rows[:3]
first = rows[-1]
assert (first["from"], first["to"], first["method"]) == ("天存-system-1001", "zhang@163.com", "smtp"), first
assert json.loads(first["content"]) == mail and first["ip"] == "127.0.0.1", first

print("all checks passed")
