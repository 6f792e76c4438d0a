//! Section 6 of the document: every code with its text, and nothing that is not there. `errorMessage` is exactly the text
//! (decision 1).

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// What became of a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $($(#[$doc])* $name),* }

        impl Code {
            /// `errorCode`.
            pub(crate) const fn number(self) -> u32 {
                match self { $(Self::$name => $number),* }
            }

            /// `errorMessage`.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

codes! {
    /// It is done.
    Done = 0, "OK";
    /// The body is no JSON object; also what has no form at all: an unknown path, a wrong method, a body that is too large.
    Format = 10001, "请求数据格式错误";
    /// A field that must be there is not, the token among them.
    Missing = 10002, "缺少必要请求参数";
    /// Another account has this phone, mail address or WeChat id.
    ContactTaken = 10003, "用户电话或邮箱或微信号已经被注册";
    /// Another account has this name.
    NameTaken = 10004, "用户名已存在";
    /// The token counts for nothing.
    Token = 10005, "token不存在或已失效";
    /// There is no account of this name.
    UnknownUser = 10006, "用户不存在";
    /// The password is another.
    WrongPassword = 10007, "密码错误";
    /// No `method` that exists.
    Method = 10008, "错误的发送方式";
    /// The content is not of the form of its method.
    Content = 10009, "错误的消息内容格式";
    /// The attachment is none.
    Attachment = 10010, "错误的附件内容格式";
    /// A recipient that can be none.
    Recipient = 10011, "无效的收件人";
    /// Not sent: the provider refused, there is no such channel, the store is away.
    Internal = 10012, "系统内部错误";
    /// The account has sent as much as it may, or may not send.
    OverLimit = 10013, "超出发送消息的频率限制";
    /// The recipient does not follow the official account (any more).
    NotFollowing = 10014, "用户未关注微信公众号";
    /// WeChat does not know the recipient.
    NoSuchRecipient = 10015, "无此公众微信号";
    /// What `details` say.
    Details = 10016, "见详情";
    /// A field of another type than it must be.
    Type = 10017, "错误参数的类型";
}
