"""BlueKing's unmodified client sends mail through Hongyan to a foreign SMTP server (aiosmtpd); what arrives is read with
Python's own MIME parser."""
import base64
import email
import email.policy
import sys

from aiosmtpd.controller import Controller
from bkapi_component.open.client import Client

endpoint, port = sys.argv[1], int(sys.argv[2])


class Keep:
    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, server, session, envelope):
        self.envelopes.append(envelope)
        return "250 2.0.0 kept"


keep = Keep()
controller = Controller(keep, hostname="127.0.0.1", port=port)
controller.start()


def client(language=None):
    made = Client(endpoint=endpoint)
    made.update_bkapi_authorization(bk_app_code="app1", bk_app_secret="sec1", bk_username="admin")
    if language:
        made.set_language(language)
    return made


def last():
    envelope = keep.envelopes[-1]
    return envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)


try:
    # HTML, Chinese subject, attachment with a Chinese name, inline image, CC.
    png = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    html = '<h1>周报</h1><p>见附件</p><img src="cid:图.png">' + "长" * 2000
    reply = client().cmsi.send_mail(
        {
            "receiver__username": "admin,yunchao",
            "cc": "boss@example.com",
            "sender": "鸿雁 <me@example.com>",
            "title": "周报:本周的工作总结和下周的计划,请各位查收并回复",
            "content": html,
            "attachments": [
                {"filename": "报表.csv", "content": base64.b64encode("甲,乙\n1,2\n".encode()).decode()},
                {"filename": "图.png", "content": base64.b64encode(png).decode(), "content_id": "<图.png>"},
            ],
        }
    )
    assert reply["result"] is True and reply["code"] == 0 and reply["message"] == "OK", reply
    assert sorted(reply) == ["code", "data", "message", "request_id", "result"], reply
    envelope, message = last()
    assert envelope.rcpt_tos == ["admin@bk.com", "yunchao@bk.com", "boss@example.com"], envelope.rcpt_tos
    assert envelope.mail_from == "me@example.com", envelope.mail_from
    assert message["subject"] == "周报:本周的工作总结和下周的计划,请各位查收并回复", message["subject"]
    assert message["from"].addresses[0].display_name == "鸿雁", message["from"]
    assert [a.addr_spec for a in message["to"].addresses] == ["admin@bk.com", "yunchao@bk.com"]
    assert [a.addr_spec for a in message["cc"].addresses] == ["boss@example.com"]
    assert message["date"].datetime is not None and message["message-id"]
    image = next(part for part in message.walk() if part.get_content_maintype() == "image")
    # A Content-ID is ASCII (RFC 2392): one that is not is replaced, in the part and in the text that refers to it.
    cid = image["content-id"].strip("<>")
    body = message.get_body(("html",)).get_content()
    assert body.replace("\r\n", "\n").rstrip("\n") == html.replace("cid:图.png", "cid:" + cid), body[:200]
    text = message.get_body(("plain",)).get_content()
    assert "周报" in text and "<h1>" not in text, text[:200]
    parts = {part.get_filename(): part for part in message.walk() if part.get_filename()}
    assert parts["报表.csv"].get_content_type() == "text/csv", parts["报表.csv"].get_content_type()
    assert parts["报表.csv"].get_payload(decode=True).decode() == "甲,乙\n1,2\n"
    assert parts["图.png"].get_content_type() == "image/png"
    assert parts["图.png"].get_payload(decode=True) == png
    assert parts["图.png"].get_content_disposition() == "inline"
    for line in envelope.content.split(b"\r\n"):
        assert len(line) <= 998 and b"\n" not in line and b"\r" not in line

    # send_msg, plain text, through the versioned path that django helpers use.
    versioned = client()
    versioned.set_bk_api_ver("v2")
    reply = versioned.cmsi.send_msg(
        {"msg_type": "mail", "receiver__username": ["admin"], "title": "t", "content": "一行\n.\n另一行", "body_format": "Text"}
    )
    assert reply["result"] is True, reply
    _, message = last()
    assert message.get_content_type() == "text/plain"
    assert message.get_content().replace("\r\n", "\n").rstrip("\n") == "一行\n.\n另一行", message.get_content()

    # Partial failure: a plain dict with the names, never an exception.
    reply = client().cmsi.send_mail({"receiver__username": "admin,nobody", "title": "t", "content": "c"})
    assert reply["result"] is False and reply["message"].startswith("Some users failed to send email."), reply
    assert reply["data"]["username_check"]["invalid"] == ["nobody"], reply

    # Authentication and validation come back as dicts too, in the client's language.
    wrong = Client(endpoint=endpoint)
    wrong.update_bkapi_authorization(bk_app_code="app1", bk_app_secret="wrong", bk_username="admin")
    assert wrong.cmsi.send_mail({})["message"].startswith("APP Secret verification failed, pelase")
    assert client().cmsi.send_mail({})["message"] == "email subject [title] This field is required."
    assert client("zh-hans").cmsi.send_mail({})["message"] == "email subject [title] 这个字段是必填项。"

    types = client("zh-hans").cmsi.get_msg_type()
    assert [t["type"] for t in types["data"]][:4] == ["weixin", "mail", "sms", "voice"], types
    assert [t["is_active"] for t in types["data"]][:4] == [False, True, False, False], types
    assert types["data"][1]["label"] == "邮件", types
finally:
    controller.stop()
print("all checks passed")
