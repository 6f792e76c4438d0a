"""BlueKing's unmodified client drives every component of CMSI; the providers behind them are played here."""
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import requests
from bkapi_component.open.client import Client

endpoint, port = sys.argv[1], int(sys.argv[2])
seen = []


def answer(path, query, body):
    if path == "/cgi-bin/gettoken":
        assert query["corpid"] == ["corp"], query
        return {"errcode": 0, "errmsg": "ok", "access_token": "WECOM", "expires_in": 7200}
    if path == "/cgi-bin/stable_token":
        return {"access_token": "WECHAT", "expires_in": 7200}
    if path == "/cgi-bin/message/send":
        assert query["access_token"] == ["WECOM"], query
        bad = [user for user in body["touser"].split("|") if user.startswith("bad")]
        return {"errcode": 0, "errmsg": "ok", "invaliduser": "|".join(bad), "msgid": "M1"}
    if path == "/cgi-bin/message/template/send":
        assert query["access_token"] == ["WECHAT"], query
        code = 40003 if body["touser"].startswith("bad") else 0
        return {"errcode": code, "errmsg": "said", "msgid": 3557254367693750277}
    if path == "/sms/":
        if query["PhoneNumbers"][0].endswith("9"):
            return {"Code": "isv.MOBILE_NUMBER_ILLEGAL", "Message": "said", "RequestId": "r"}
        return {"Code": "OK", "Message": "OK", "BizId": "9006^0", "RequestId": "r"}
    if path == "/voice/":
        return {"Response": {"SendStatus": {"CallId": "c1", "SessionContext": body.get("SessionContext", "")}, "RequestId": "r"}}
    if path == "/login/accounts/is_login/":
        return {"result": query["bk_token"] == ["goodtoken"], "data": {"username": "admin"}}
    raise AssertionError(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        url = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw) if raw else None
        seen.append((url.path, parse_qs(url.query), body))
        reply = json.dumps(answer(*seen[-1])).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_POST

    def log_message(self, *_):
        pass


providers = ThreadingHTTPServer(("127.0.0.1", port), Handler)
threading.Thread(target=providers.serve_forever, daemon=True).start()


def client(version="", language=None):
    made = Client(endpoint=endpoint)
    made.update_bkapi_authorization(bk_app_code="app1", bk_app_secret="sec1", bk_username="admin")
    made.set_bk_api_ver(version)
    if language:
        made.set_language(language)
    return made


def sent(path):
    return [call for call in seen if call[0] == path]


def right(reply):
    assert reply["result"] is True and reply["code"] == 0 and reply["message"] == "OK", reply
    assert sorted(reply) == ["code", "data", "message", "request_id", "result"], reply
    return reply["data"]


def wrong(reply, text, invalid):
    assert reply["result"] is False and isinstance(reply["code"], int) and reply["code"] != 0, reply
    assert reply["message"].startswith(text), reply
    assert reply["data"]["username_check"]["invalid"] == invalid, reply


notice = {"heading": "告警", "message": "磁盘将满", "date": "2017-02-22 15:36", "remark": "请处理"}
for version in ("", "v2"):
    api = client(version)

    # WeCom by usernames, and by ids with a caller's own app.
    right(api.cmsi.send_weixin({"receiver__username": "admin,yunchao", "data": notice}))
    assert sent("/cgi-bin/message/send")[-1][2] == {
        "touser": "wx_admin|wx_yun",
        "msgtype": "text",
        "agentid": 1000002,
        "text": {"content": "告警\n磁盘将满\nDate: 2017-02-22 15:36\n请处理"},
    }, seen[-1]
    right(api.cmsi.send_weixin({"receiver": "wx_admin", "data": notice, "wx_qy_agentid": "1000009", "wx_qy_corpsecret": "other"}))
    assert sent("/cgi-bin/message/send")[-1][2]["agentid"] == 1000009
    assert any(call[1]["corpsecret"] == ["other"] for call in sent("/cgi-bin/gettoken"))
    wrong(
        api.cmsi.send_weixin({"receiver__username": "admin,nobody", "data": notice}),
        "Some users failed to send wechat message. The following users are not blueking users: nobody",
        ["nobody"],
    )

    # SMS and voice.
    right(api.cmsi.send_sms({"receiver__username": "admin", "content": "码 1234"}))
    assert sent("/sms/")[-1][1]["PhoneNumbers"] == ["13800000001"], seen[-1]
    wrong(
        api.cmsi.send_sms({"receiver": "13800000001,13800000009", "content": "hi"}),
        "Some users failed to send sms. ",
        ["13800000009"],
    )
    data = right(api.cmsi.send_voice_msg({"receiver__username": "admin", "auto_read_message": "磁盘将满"}))
    assert [call["username"] for call in data["successed"]] == ["admin"] and data["failed"] == [], data
    assert sent("/voice/")[-1][2]["CalledNumber"] == "+8613800000001", seen[-1]

    # The same by send_msg.
    common = {"receiver__username": "admin", "title": "t", "content": "c"}
    for msg_type, path in (("weixin", "/cgi-bin/message/send"), ("sms", "/sms/"), ("voice", "/voice/"), ("wechat", "/cgi-bin/message/template/send")):
        before = len(sent(path))
        right(api.cmsi.send_msg({"msg_type": msg_type, **common}))
        assert len(sent(path)) == before + 1, (msg_type, seen[-1])
    assert api.cmsi.send_msg({"msg_type": "fax", **common})["message"] == "Unsupported type of msg type"
    assert api.cmsi.send_msg({"msg_type": "mail", **common})["result"] is True

    types = {item["type"]: item for item in right(client(version, "zh-cn").cmsi.get_msg_type())}
    assert list(types)[:4] == ["weixin", "mail", "sms", "voice"], types
    assert all(types[name]["is_active"] for name in ("weixin", "mail", "sms", "voice", "wechat")), types
    assert types["weixin"]["label"] == "微信"

# An app that may not name users speaks by a token of the login service.
asks = Client(endpoint=endpoint)
asks.update_bkapi_authorization(bk_app_code="app2", bk_app_secret="sec2", bk_token="goodtoken")
right(asks.cmsi.send_weixin({"receiver__username": "admin", "data": notice}))
asks.update_bkapi_authorization(bk_token="badtoken")
reply = asks.cmsi.send_weixin({"receiver__username": "admin", "data": notice})
assert reply["message"] == "User authentication failed, please check if the bk_token is valid", reply

# The client declares neither of these two: bk-ci calls them with a client of its own, on the unversioned paths alone.
def call(component, body):
    header = json.dumps({"bk_app_code": "app1", "bk_app_secret": "sec1", "bk_username": "admin"})
    url = f"{endpoint}/api/c/compapi/cmsi/{component}/"
    return requests.post(url, json=body, headers={"X-Bkapi-Authorization": header}, timeout=30).json()


right(call("send_qy_weixin", {"receiver": "wx_admin", "content": "hi"}))
assert sent("/cgi-bin/message/send")[-1][2]["text"] == {"content": "hi"}
right(call("send_mp_weixin", {"receiver": "o1", "data": notice}))
body = sent("/cgi-bin/message/template/send")[-1][2]
assert body["touser"] == "o1" and body["template_id"] == "TPL", body
assert body["data"]["first"] == {"value": "告警"} and body["data"]["keyword2"] == {"value": "2017-02-22 15:36"}, body
reply = call("send_mp_weixin", {"receiver": "o1,bad1", "data": notice})
assert reply["result"] is False, reply
assert len(sent("/cgi-bin/gettoken")) == 2, "one token for each app, however many messages"
assert len(sent("/cgi-bin/stable_token")) == 1
providers.shutdown()
print("all checks passed")
