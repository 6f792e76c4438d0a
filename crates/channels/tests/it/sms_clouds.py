"""Alibaba Cloud SMS and Tencent Cloud SMS and voice, as far as a sender sees them: every request is read and its signature
recomputed by the official clients' own code. `serve` answers until it is killed and prints a line of JSON for each message that it
takes; `ask` makes one call with an official client."""
import datetime, hashlib, json, re, sys, time, urllib.parse, warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from alibabacloud_dysmsapi20170525 import models as aliyun
from alibabacloud_dysmsapi20170525.client import Client as AliyunClient
from alibabacloud_tea_openapi import utils_models as openapi
from alibabacloud_tea_openapi.utils import Utils
from darabonba.request import DaraRequest
from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.common.sign import Sign
from tencentcloud.sms.v20210111 import errorcodes as sms_codes, models as sms, sms_client
from tencentcloud.vms.v20200902 import errorcodes as vms_codes, models as vms, vms_client

KEY, SECRET = 'AKIDexample', 'k3yexample'
SIGN, ALIYUN_TEMPLATES = '鸿雁', {'SMS_1': {'content'}, 'SMS_2': {'code', 'minutes'}}
TENCENT_TEMPLATES = {'1110': 1, '1111': 2}
sent, nonces = [], set()


class Refused(Exception):
    def __init__(self, code, message='', status=400):
        self.code, self.message, self.status = code, message, status


def known(model, parameters):
    """The model of the official client filled with these, none of which it may not know."""
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        if hasattr(model, 'from_map'):
            filled = model.from_map(parameters)
            if set(filled.to_map()) != set(parameters): raise Refused('InvalidParameter', 'what is this?')
        else:
            try: model._deserialize(parameters)
            except Warning as odd: raise Refused('UnknownParameter', str(odd))
            filled = model
    return filled


# Alibaba Cloud

def aliyun_checked(method, target, headers, body):
    found = re.fullmatch(r'ACS3-HMAC-SHA256 Credential=(.*),SignedHeaders=(.*),Signature=([0-9a-f]{64})', headers['authorization'])
    if not found: raise Refused('IncompleteSignature')
    key, names, _ = found.groups()
    must = {n for n in headers if n.startswith('x-acs-')} | {'host', 'accept'} | ({'content-type'} & set(headers))
    if not must <= set(names.split(';')): raise Refused('IncompleteSignature', f'{must} must be signed')
    payload = hashlib.sha256(body).hexdigest()
    if headers['x-acs-content-sha256'] != payload: raise Refused('SignatureDoesNotMatch', 'body')
    at = datetime.datetime.strptime(headers['x-acs-date'], '%Y-%m-%dT%H:%M:%SZ').replace(tzinfo=datetime.timezone.utc)
    if abs(time.time() - at.timestamp()) > 900: raise Refused('InvalidTimeStamp.Expired')
    if key != KEY: raise Refused('InvalidAccessKeyId.NotFound', 'Specified access key is not found.', 404)
    request = DaraRequest()
    request.method, (request.pathname, _, query) = method, target.partition('?')
    request.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, strict_parsing=True))
    request.headers = {name: headers[name] for name in names.split(';')}
    expected = Utils.get_authorization(request, 'ACS3-HMAC-SHA256', payload, KEY, SECRET)
    if headers['authorization'] != expected: raise Refused('SignatureDoesNotMatch', f'for {key}: {query}')
    if headers['x-acs-signature-nonce'] in nonces: raise Refused('SignatureNonceUsed')
    nonces.add(headers['x-acs-signature-nonce'])
    if headers['x-acs-version'] != '2017-05-25': raise Refused('InvalidVersion')
    return headers['x-acs-action'], request.query


def aliyun_answer(action, query):
    if action == 'SendSms':
        r = known(aliyun.SendSmsRequest(), query)
        if not re.fullmatch(r'1[3-9]\d{9}|[2-9]\d{7,14}|1\d{7,9}', r.phone_numbers): raise Refused('isv.MOBILE_NUMBER_ILLEGAL', '', 200)
        if r.sign_name != SIGN: raise Refused('isv.SMS_SIGNATURE_ILLEGAL', '', 200)
        if r.template_code not in ALIYUN_TEMPLATES: raise Refused('isv.SMS_TEMPLATE_ILLEGAL', '', 200)
        if set(json.loads(r.template_param)) != ALIYUN_TEMPLATES[r.template_code]:
            raise Refused('isv.TEMPLATE_MISSING_PARAMETERS', '', 200)
        sent.append({'cloud': 'aliyun', 'number': r.phone_numbers, 'template': r.template_code, 'values': json.loads(r.template_param),
            'context': r.out_id, 'at': time.time()})
        print(json.dumps(sent[-1]), flush=True)
        return {'Code': 'OK', 'Message': 'OK', 'BizId': f'{len(sent)}^0', 'RequestId': 'R'}
    if action == 'QuerySendDetails':
        r = known(aliyun.QuerySendDetailsRequest(), {k: int(v) if k in ('PageSize', 'CurrentPage') else v for k, v in query.items()})
        day = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=8)).strftime('%Y%m%d')
        if not 0 < r.page_size <= 50: raise Refused('isv.INVALID_PARAMETERS', '', 200)
        found = [s for s in sent if s['cloud'] == 'aliyun' and s['number'] == r.phone_number and r.send_date == day]
        page = found[(r.current_page - 1) * r.page_size:][:r.page_size]
        details = [{'PhoneNum': s['number'], 'OutId': s['context'], 'SendStatus': 3, 'ErrCode': 'DELIVERED'} for s in page]
        return {'Code': 'OK', 'Message': 'OK', 'RequestId': 'R', 'TotalCount': len(found), 'SmsSendDetailDTOs': {'SmsSendDetailDTO': details}}
    raise Refused('InvalidAction.NotFound', '', 404)


# Tencent Cloud

def tencent_checked(method, target, headers, body):
    found = re.fullmatch(r'TC3-HMAC-SHA256 Credential=(.*)/(.*)/(.*)/tc3_request, SignedHeaders=(.*), Signature=([0-9a-f]{64})', headers['authorization'])
    if not found: raise Refused('AuthFailure.SignatureFailure', 'form')
    key, date, service, names, signature = found.groups()
    at = int(headers['x-tc-timestamp'])
    if abs(time.time() - at) > 300: raise Refused('AuthFailure.SignatureExpire')
    if key != KEY: raise Refused('AuthFailure.SecretIdNotFound')
    if date != datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime('%Y-%m-%d'): raise Refused('AuthFailure.SignatureFailure', 'date')
    if not {'content-type', 'host'} <= set(names.split(';')): raise Refused('AuthFailure.SignatureFailure', 'headers')
    value = lambda name: headers[name].lower() if name == 'x-tc-action' else headers[name]
    lines = ''.join(f'{name}:{value(name)}\n' for name in names.split(';'))
    path, _, query = target.partition('?')
    canonical = '\n'.join([method, path, query, lines, names, hashlib.sha256(body).hexdigest()])
    to_sign = '\n'.join(['TC3-HMAC-SHA256', str(at), f'{date}/{service}/tc3_request', hashlib.sha256(canonical.encode()).hexdigest()])
    if Sign.sign_tc3(SECRET, date, service, to_sign) != signature: raise Refused('AuthFailure.SignatureFailure', f'for {key}')
    if not headers.get('x-tc-region'): raise Refused('MissingParameter', 'Region')
    if headers['x-tc-version'] != {'sms': '2021-01-11', 'vms': '2020-09-02'}.get(service): raise Refused('NoSuchVersion')
    return service, headers['x-tc-action'], json.loads(body)


def tencent_answer(service, action, body):
    if (service, action) == ('sms', 'SendSms'):
        r = known(sms.SendSmsRequest(), body)
        home = [n.startswith('+86') for n in r.PhoneNumberSet]
        if len(home) > 200: raise Refused('LimitExceeded.PhoneNumberCountLimit')
        if len(set(home)) != 1: raise Refused('UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber')
        if home[0] and r.SignName != SIGN: raise Refused('FailedOperation.SignatureIncorrectOrUnapproved')
        if len(r.TemplateParamSet) != TENCENT_TEMPLATES.get(r.TemplateId): raise Refused('FailedOperation.TemplateIncorrectOrUnapproved')
        if len(r.SessionContext.encode()) >= 512 or r.SmsSdkAppId != '1400006666': raise Refused('InvalidParameterValue.SdkAppIdNotExist')
        return {'SendStatusSet': [tencent_send(r, number) for number in reversed(r.PhoneNumberSet)]}
    if (service, action) == ('sms', 'PullSmsSendStatusByPhoneNumber'):
        r = known(sms.PullSmsSendStatusByPhoneNumberRequest(), body)
        if not r.Limit <= 100: raise Refused('InvalidParameterValue.LimitVerifyFail')
        found = [s for s in sent if s['cloud'] == 'tencent' and s['number'] == r.PhoneNumber and r.BeginTime <= s['at'] <= (r.EndTime or time.time())]
        return {'PullSmsSendStatusSet': [{'UserReceiveTime': int(s['at']) + 1, 'CountryCode': '86', 'SubscriberNumber': s['number'][3:],
            'PhoneNumber': s['number'], 'SerialNo': 'S', 'ReportStatus': 'SUCCESS', 'Description': 'DELIVRD', 'SessionContext': s['context']}
            for s in found[r.Offset:][:r.Limit]]}
    if (service, action) == ('vms', 'SendTtsVoice'):
        r = known(vms.SendTtsVoiceRequest(), body)
        if not re.fullmatch(r'\+[1-9]\d{7,14}', r.CalledNumber): raise Refused('InvalidParameterValue.CalledNumberVerifyFail')
        if not 1 <= r.PlayTimes <= 3 or r.VoiceSdkAppid != '1400007777' or r.TemplateId != '2220': raise Refused('FailedOperation.InvalidParameters')
        sent.append({'cloud': 'voice', 'number': r.CalledNumber, 'template': r.TemplateId, 'values': r.TemplateParamSet, 'context': r.SessionContext,
            'at': time.time()})
        print(json.dumps(sent[-1]), flush=True)
        return {'SendStatus': {'CallId': f'call-{len(sent)}', 'SessionContext': r.SessionContext}}
    raise Refused('InvalidAction')


def tencent_send(r, number):
    result = {'SerialNo': '', 'PhoneNumber': number, 'Fee': 0, 'SessionContext': r.SessionContext, 'IsoCode': 'CN'}
    if not re.fullmatch(r'\+(861[3-9]\d{9}|[1-79]\d{7,14}|8[0-57-9]\d{6,13})', number):
        return result | {'Code': 'InvalidParameterValue.IncorrectPhoneNumber', 'Message': f'{number} is wrong'}
    sent.append({'cloud': 'tencent', 'number': number, 'template': r.TemplateId, 'values': r.TemplateParamSet, 'context': r.SessionContext,
        'at': time.time()})
    print(json.dumps(sent[-1]), flush=True)
    return result | {'SerialNo': f'serial-{len(sent)}', 'Fee': 1, 'Code': 'Ok', 'Message': 'send success'}


class Cloud(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def do_POST(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get('content-length', 0)))
        request = (self.command, self.path, headers, body)
        if headers.get('authorization', '').startswith('ACS3'):
            try: status, answer = 200, aliyun_answer(*aliyun_checked(*request))
            except Refused as r: status, answer = r.status, {'Code': r.code, 'Message': r.message, 'RequestId': 'R', 'HostId': 'h'}
        else:
            try: status, answer = 200, tencent_answer(*tencent_checked(*request)) | {'RequestId': 'R'}
            except Refused as r: status, answer = 200, {'Error': {'Code': r.code, 'Message': r.message}, 'RequestId': 'R'}
            answer = {'Response': answer}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_): pass


# The official clients

def ask_aliyun(port, key, secret, call):
    client = AliyunClient(openapi.Config(access_key_id=key, access_key_secret=secret, endpoint=f'127.0.0.1:{port}', protocol='http'))
    if 'query' in call:
        return client.query_send_details(aliyun.QuerySendDetailsRequest().from_map(call['query'])).body.to_map()
    return client.send_sms(aliyun.SendSmsRequest().from_map(call['send'])).body.to_map()


def ask_tencent(port, key, secret, call):
    profile = ClientProfile(httpProfile=HttpProfile(protocol='http', endpoint=f'127.0.0.1:{port}'))
    account = (credential.Credential(key, secret), 'ap-guangzhou', profile)
    if 'voice' in call:
        request = vms.SendTtsVoiceRequest()
        request._deserialize(call['voice'])
        return json.loads(vms_client.VmsClient(*account).SendTtsVoice(request).to_json_string())
    client = sms_client.SmsClient(*account)
    request = sms.PullSmsSendStatusByPhoneNumberRequest() if 'query' in call else sms.SendSmsRequest()
    request._deserialize(call.get('query') or call['send'])
    act = client.PullSmsSendStatusByPhoneNumber if 'query' in call else client.SendSms
    return json.loads(act(request).to_json_string())


def ask(question):
    act = {'aliyun': ask_aliyun, 'tencent': ask_tencent}[question['cloud']]
    try: return act(question['port'], question['key'], question['secret'], question['call'])
    except TencentCloudSDKException as refused: return {'refused': refused.get_code()}
    except Exception as refused: return {'refused': getattr(refused, 'code', None) or repr(refused)}


def codes(module):
    return [value for name, value in vars(module).items() if name.isupper() and isinstance(value, str)]


if len(sys.argv) > 1 and sys.argv[1] == 'serve':
    server = ThreadingHTTPServer(('127.0.0.1', 0), Cloud)
    print(server.server_address[1], flush=True)
    server.serve_forever()
else:
    given = json.load(sys.stdin)
    answer = {'sms': codes(sms_codes), 'voice': codes(vms_codes)} if given == 'codes' else [ask(q) for q in given]
    json.dump(answer, sys.stdout)
