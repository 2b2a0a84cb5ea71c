//! What an answer means.

/// What the service decided.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request may pass.
    Allow,
    /// The client is answered with this status.
    Deny(u32),
    /// The service did not decide.
    Failed,
}

impl Verdict {
    /// 200 allows. 3xx and 4xx are answers to the client: go there to log in, show who you are. 5xx says that the
    /// service is broken, which is no verdict; neither is no answer. Anything else denies.
    pub fn of(status: Option<&[u8]>) -> Self {
        match status.and_then(parse) {
            None | Some(500..) => Self::Failed,
            Some(200) => Self::Allow,
            Some(status @ 300..=499) => Self::Deny(status),
            Some(_) => Self::Deny(403),
        }
    }
}

fn parse(status: &[u8]) -> Option<u32> {
    std::str::from_utf8(status).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Verdict::{self, Allow, Deny, Failed};

    #[test]
    fn statuses() {
        let cases: [(&[u8], Verdict); 8] = [
            (b"200", Allow),
            (b"204", Deny(403)),
            (b"302", Deny(302)),
            (b"401", Deny(401)),
            (b"403", Deny(403)),
            (b"500", Failed),
            (b"", Failed),
            (b"\xff", Failed),
        ];
        for (status, verdict) in cases {
            assert_eq!(Verdict::of(Some(status)), verdict, "{status:?}");
        }
        assert_eq!(Verdict::of(None), Failed);
    }
}
