# WeChat's side of a callback, played by wechatpy: it signs and encrypts what the platform sends, and decrypts and reads what is
# answered. Reads {"token", "key", "app_id", "timestamp", "nonce", "replies"?} and writes the calls, or with "replies" what they say.
import json
import sys

import xmltodict
from wechatpy import parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.utils import WeChatSigner, check_signature

ASKED = json.load(sys.stdin)
TOKEN, TIMESTAMP, NONCE = ASKED["token"], ASKED["timestamp"], ASKED["nonce"]
CRYPTO = WeChatCrypto(TOKEN, ASKED["key"], ASKED["app_id"])

EVENT = """<xml><ToUserName><![CDATA[gh_1]]></ToUserName>
<FromUserName><![CDATA[o6_bmjrPTlm6_2sgVt7hMZOPfL2M]]></FromUserName>
<CreateTime>1700000000</CreateTime>
<MsgType><![CDATA[event]]></MsgType>
<Event><![CDATA[%s]]></Event>
%s
</xml>"""
TEXT = EVENT.replace("<Event><![CDATA[%s]]></Event>\n%s", "<Content><![CDATA[%s]]></Content>\n<MsgId>1234567890123456</MsgId>").replace(
    "<![CDATA[event]]>", "<![CDATA[text]]>")
MESSAGES = [
    EVENT % ("CLICK", "<EventKey><![CDATA[get_openid]]></EventKey>"),
    EVENT % ("CLICK", "<EventKey><![CDATA[other]]></EventKey>"),
    EVENT % ("subscribe", "<EventKey><![CDATA[]]></EventKey>"),
    EVENT % ("unsubscribe", "<EventKey></EventKey>"),
    EVENT % ("TEMPLATESENDJOBFINISH", "<MsgID>200163836</MsgID>\n<Status><![CDATA[success]]></Status>"),
    TEXT % "鸿雁 <a> & ]]>".replace("]]>", "]]]]><![CDATA[>"),
    TEXT % ("长" * 600),
]


def signed(*parts):
    signer = WeChatSigner()
    signer.add_data(TOKEN, TIMESTAMP, NONCE, *parts)
    return signer.signature


def call(xml):
    read = parse_message(xml)
    check_signature(TOKEN, signed(), TIMESTAMP, NONCE)
    envelope = CRYPTO.encrypt_message(xml, NONCE, TIMESTAMP)
    outer = xmltodict.parse(envelope)["xml"]
    safe = "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><Encrypt><![CDATA[%s]]></Encrypt></xml>" % outer["Encrypt"]
    return {
        "openid": read.source, "kind": read.type, "event": getattr(read, "event", None), "key": getattr(read, "key", None),
        "plain": xml, "safe": safe, "compatible": xml.replace("</xml>", "<Encrypt><![CDATA[%s]]></Encrypt></xml>" % outer["Encrypt"]),
        "signature": signed(), "msg_signature": outer["MsgSignature"],
    }


def heard(reply):
    outer = xmltodict.parse(reply)["xml"]
    if "Encrypt" not in outer:
        return outer
    with_signature = lambda signature: CRYPTO.decrypt_message(reply, signature, outer["TimeStamp"], outer["Nonce"])
    try:
        with_signature("0" * 40)
        raise AssertionError("a wrong signature passed")
    except InvalidSignatureException:
        pass
    other = WeChatCrypto(TOKEN, ASKED["key"], "wx0")
    try:
        other.decrypt_message(reply, outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"])
        raise AssertionError("it was for another account")
    except InvalidAppIdException:
        pass
    return xmltodict.parse(with_signature(outer["MsgSignature"]))["xml"]


if "replies" in ASKED:
    json.dump([heard(reply) for reply in ASKED["replies"]], sys.stdout)
else:
    json.dump([call(xml) for xml in MESSAGES], sys.stdout)
