//! The smallest true module in Rust: any payload comes back. Another method goes wrong on purpose.
use grayling::{code, Call, Failure, Host, Init, Module};

struct Echo {
    host: Host,
}

impl Module for Echo {
    fn init(host: Host, _init: &Init) -> Result<Self, Failure> {
        Ok(Echo { host })
    }

    fn handle(&self, call: &Call) -> Result<Vec<u8>, Failure> {
        self.host.count("calls", 1);
        match call.method() {
            "Echo" => Ok(call.payload().to_vec()),
            // answered with INTERNAL and the panic's text; the next call finds everything well
            "Panic" => panic!("{}", String::from_utf8_lossy(call.payload())),
            other => Err(Failure::new(code::UNIMPLEMENTED, format!("{} is not known", other))),
        }
    }
}

grayling::module!(Echo);
