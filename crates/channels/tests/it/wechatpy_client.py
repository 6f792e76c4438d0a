# Drives wechatpy's clients, unmodified, against a fake of WeCom and of an official account: what is for Tencent's hosts is carried
# to the fake below the client's own code. Reads {"url"} and writes what each step answered.
import json
import sys

import requests
from requests.adapters import HTTPAdapter
from wechatpy import WeChatClient
from wechatpy.enterprise import WeChatClient as WeComClient
from wechatpy.exceptions import WeChatClientException

URL = json.load(sys.stdin)["url"]
HOSTS = ["https://qyapi.weixin.qq.com", "https://api.weixin.qq.com"]


class Carried(HTTPAdapter):
    def send(self, request, **kwargs):
        for host in HOSTS:
            if request.url.startswith(host):
                request.url = URL + request.url[len(host):]
        return super().send(request, **kwargs)


def carried(client):
    for host in HOSTS:
        client._http.mount(host, Carried())
    return client


def said(act):
    try:
        return act()
    except WeChatClientException as error:
        return {"errcode": error.errcode, "errmsg": error.errmsg}


def revoke():
    requests.post(URL + "/revoke", timeout=10).raise_for_status()


def wecom():
    client = carried(WeComClient("ww1", "corp-s3cret"))
    send = lambda agent, users, text: said(lambda: client.message.send(
        agent, users, msg={"msgtype": "text", "text": {"content": text}}))
    yield send(1000002, ["ZhangSan", "Nobody", "李四"], "鸿雁\n\"x\" & <y> \\")
    revoke()
    yield send(1000002, ["zhangsan"], "again")
    yield send(1000002, ["nobody", "no-one"], "x")
    yield send(1000003, ["zhangsan"], "x")
    yield send(1000002, ["zhangsan"], "")
    yield said(lambda: carried(WeComClient("ww1", "wrong")).message.send(1000002, ["zhangsan"], msg={}))


def wechat():
    client = carried(WeChatClient("wx1", "app-s3cret"))
    data = {"first": {"value": "标题"}, "keyword1": {"value": "消息 \"x\""}, "keyword2": {"value": ""}, "remark": {"value": "r"}}
    send = lambda openid, template, url: said(lambda: client.message.send_template(openid, template, data, url=url))
    yield send("oABC", "TPL", "https://x.example/?a=1&b=2")
    revoke()
    yield send("oABC", "TPL", None)
    yield send("oNOBODY", "TPL", None)
    yield send("oABC", "OTHER", None)
    yield said(lambda: carried(WeChatClient("wx1", "wrong")).message.send_template("oABC", "TPL", data))


json.dump({"wecom": list(wecom()), "wechat": list(wechat())}, sys.stdout)
