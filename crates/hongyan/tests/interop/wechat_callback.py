"""wechatpy plays an official account in the modes safe and compatible against a node that knows its key."""
import sys
import time

import requests
import xmltodict
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner

URL = sys.argv[1]
TOKEN, KEY, APP_ID = "hongyan123", "kWxPEV2UEDyxWpmPdKC3F4dgPDmOvfKX1HGnEUDS1aR", "wx49f0ab532d5d035a"
CRYPTO = WeChatCrypto(TOKEN, KEY, APP_ID)
EVENT = """<xml><ToUserName><![CDATA[gh_1]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName>
<CreateTime>%d</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[%s]]></Event><EventKey><![CDATA[%s]]></EventKey></xml>"""


def event(openid, name, key=""):
    return EVENT % (openid, time.time(), name, key)


def signature(*parts):
    signer = WeChatSigner()
    signer.add_data(TOKEN, *parts)
    return signer.signature


def post(xml, crypto=CRYPTO, compatible=False, **changed):
    timestamp, nonce = str(int(time.time())), "437374425"
    outer = xmltodict.parse(crypto.encrypt_message(xml, nonce, timestamp))["xml"]
    sealed = "<Encrypt><![CDATA[%s]]></Encrypt></xml>" % outer["Encrypt"]
    body = xml.replace("</xml>", sealed) if compatible else "<xml><ToUserName><![CDATA[gh_1]]></ToUserName>" + sealed
    query = {"signature": signature(timestamp, nonce), "timestamp": timestamp, "nonce": nonce, "encrypt_type": "aes",
             "msg_signature": outer["MsgSignature"], "openid": "o1"}
    body = changed.pop("body", body)
    return requests.post(URL, params={**query, **changed}, data=body.encode(), headers={"Content-Type": "text/xml"}, timeout=30)


def told(reply):
    assert reply.status_code == 200, (reply.status_code, reply.text)
    outer = xmltodict.parse(reply.content)["xml"]
    inner = CRYPTO.decrypt_message(reply.content, outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"])
    return xmltodict.parse(inner)["xml"]


CLICK = event("oSAFE", "CLICK", "get_openid")
answer = told(post(CLICK))
assert answer["Content"] == "您iMSG的账号是iMSG-10001", answer
assert (answer["ToUserName"], answer["FromUserName"], answer["MsgType"]) == ("oSAFE", "gh_1", "text"), answer
assert told(post(CLICK, compatible=True))["Content"] == "您已经有iMSG账号了：iMSG-10001"
assert told(post(event("oSAFE", "subscribe")))["Content"].startswith("欢迎关注")
assert told(post(event("oSAFE", "CLICK", "other")))["Content"] == "抱歉，暂时无法提供该服务。"
gone = post(event("oSAFE", "unsubscribe"))
assert (gone.status_code, gone.text) == (200, "success"), gone.text

for reply, status in [
    (post(CLICK, body=CLICK), 400),
    (post(CLICK, msg_signature="0" * 40), 403),
    (post(CLICK, msg_signature=""), 403),
    (post(CLICK, signature="0" * 40), 403),
    (post(CLICK, crypto=WeChatCrypto(TOKEN, KEY, "wx0")), 400),
    (post(CLICK, crypto=WeChatCrypto(TOKEN, "a" * 43, APP_ID)), 400),
    (post(CLICK, crypto=WeChatCrypto("other", KEY, APP_ID)), 403),
    (post('<!DOCTYPE xml [<!ENTITY a "b">]>' + CLICK), 400),
]:
    assert reply.status_code == status, (reply.status_code, status, reply.text)

timestamp = str(int(time.time()))
check = {"signature": signature(timestamp, "n"), "timestamp": timestamp, "nonce": "n", "echostr": "7+ 8/="}
reply = requests.get(URL, params=check, timeout=30)
assert (reply.status_code, reply.text) == (200, "7+ 8/="), reply.text
print("all checks passed")
