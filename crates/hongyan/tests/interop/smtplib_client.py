"""Python's own SMTP client against the sink of the tests: proves the sink before the sink judges anybody."""
import smtplib
import sys

client = smtplib.SMTP("127.0.0.1", int(sys.argv[1]), timeout=10)
refused = client.sendmail("me@example.com", ["a@example.com", "refused@example.com"], "Subject: first\r\n\r\nbody\r\n")
assert set(refused) == {"refused@example.com"} and refused["refused@example.com"][0] == 550, refused
assert client.sendmail("me@example.com", ["b@example.com"], "Subject: second\r\n\r\n.dot\r\n..\r\nend\r\n") == {}
try:
    client.sendmail("me@example.com", ["refused@example.com"], "Subject: third\r\n\r\nbody\r\n")
    raise AssertionError("must be refused")
except smtplib.SMTPRecipientsRefused:
    pass
client.quit()
print("all checks passed")
