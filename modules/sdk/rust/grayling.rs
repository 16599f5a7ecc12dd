//! A module's side of Grayling in Rust: what a module implements, and what it may ask of its host.
//! No crate but std. A panic in a hook is caught there and answered with INTERNAL and its text.
//!
//! SPDX-License-Identifier: MIT

use std::any::Any;
use std::ffi::{c_void, CStr, CString};
use std::os::raw::c_char;
use std::panic::{catch_unwind, set_hook, AssertUnwindSafe};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::{ptr, slice};

/// gRPC's status codes, as grayling/module.h lists them.
pub mod code {
    pub const OK: i32 = 0;
    pub const UNKNOWN: i32 = 2;
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const DEADLINE_EXCEEDED: i32 = 4;
    pub const NOT_FOUND: i32 = 5;
    pub const ALREADY_EXISTS: i32 = 6;
    pub const PERMISSION_DENIED: i32 = 7;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const FAILED_PRECONDITION: i32 = 9;
    pub const ABORTED: i32 = 10;
    pub const OUT_OF_RANGE: i32 = 11;
    pub const UNIMPLEMENTED: i32 = 12;
    pub const INTERNAL: i32 = 13;
    pub const UNAVAILABLE: i32 = 14;
    pub const DATA_LOSS: i32 = 15;
    pub const UNAUTHENTICATED: i32 = 16;
}

/// Levels of `Host::log`, as syslog counts them.
pub mod level {
    pub const ERROR: i32 = 3;
    pub const WARNING: i32 = 4;
    pub const INFO: i32 = 6;
    pub const DEBUG: i32 = 7;
}

/// Why a hook fails. Of `handle` the client sees both, of the others the journal.
pub struct Failure {
    pub code: i32,
    pub message: String,
}

impl Failure {
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Failure { code, message: message.into() }
    }
}

/// A module; `handle` runs on many threads at once.
pub trait Module: Send + Sync + Sized + 'static {
    fn init(host: Host, init: &Init) -> Result<Self, Failure>;
    /// Proves that the instance works: in preflight, and again before traffic.
    fn self_test(&self) -> Result<(), Failure> {
        Ok(())
    }
    /// The answer's payload is handed over without a copy.
    fn handle(&self, call: &Call) -> Result<Vec<u8>, Failure>;
}

/// What a module is told when it begins.
pub struct Init<'a> {
    pub config: &'a str, // JSON
    pub version: &'a str,
    pub preflight: bool, // the trial in a sandbox: touch nothing outside
}

/// Outlives the module; usable from every thread.
#[derive(Clone, Copy)]
pub struct Host(*const abi::Host);

unsafe impl Send for Host {}
unsafe impl Sync for Host {}

// What stands behind a NUL would not be read anyway.
fn c_string(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

impl Host {
    /// Writes one line.
    pub fn log(&self, level: i32, message: &str) {
        let text = c_string(message);
        unsafe { ((*self.0).log)(self.0, level, text.as_ptr()) }
    }
    /// Adds to a counter of the module's own; `name` is `[a-z_]{1,40}`.
    pub fn count(&self, name: &str, add: u64) {
        let text = c_string(name);
        unsafe { ((*self.0).count)(self.0, text.as_ptr(), add) }
    }
}

/// One request, valid until `handle` returns.
pub struct Call<'a> {
    host: &'a abi::Host,
    call: *mut c_void,
    request: &'a abi::Request,
}

unsafe fn text<'a>(p: *const c_char) -> &'a str {
    if p.is_null() {
        return "";
    }
    CStr::from_ptr(p).to_str().unwrap_or("")
}

unsafe fn view<'a>(b: abi::Bytes) -> &'a [u8] {
    if b.size == 0 {
        return &[];
    }
    slice::from_raw_parts(b.data as *const u8, b.size as usize)
}

impl<'a> Call<'a> {
    pub fn payload(&self) -> &'a [u8] {
        unsafe { view(self.request.payload) }
    }
    /// "com.example.pay.PayService"
    pub fn interface(&self) -> &'a str {
        unsafe { text(self.request.interface_name) }
    }
    /// "Charge"
    pub fn method(&self) -> &'a str {
        unsafe { text(self.request.method_name) }
    }
    /// For logs.
    pub fn request_id(&self) -> &'a str {
        unsafe { text(self.request.request_id) }
    }
    /// A value of the request's metadata; names are in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        if self.request.n_headers == 0 {
            return None;
        }
        let all = unsafe { slice::from_raw_parts(self.request.headers, self.request.n_headers as usize) };
        all.iter().find(|h| unsafe { text(h.name) } == name).map(|h| unsafe { text(h.value) })
    }
    /// How long the client still waits; `u64::MAX`: no deadline.
    pub fn time_left_usec(&self) -> u64 {
        unsafe { (self.host.time_left_usec)(self.call) }
    }
    /// Calls another module's interface. The answer stays readable until `handle` returns. A code
    /// comes as a Failure without text, because the host passes the callee's own sentence on.
    pub fn invoke(&self, interface: &str, method: &str, payload: &[u8]) -> Result<&'a [u8], Failure> {
        let (i, m) = (c_string(interface), c_string(method));
        let mut answer = abi::Bytes { data: ptr::null(), size: 0 };
        let ask = abi::Bytes { data: payload.as_ptr() as *const c_void, size: payload.len() as u64 };
        match unsafe { (self.host.call)(self.call, i.as_ptr(), m.as_ptr(), ask, &mut answer) } {
            code::OK => Ok(unsafe { view(answer) }),
            other => Err(Failure::new(other, "")),
        }
    }

    // The host gives the buffer back by release(), maybe on another thread.
    fn respond(&self, answer: Vec<u8>) -> Result<(), Failure> {
        let owner = Box::new(answer);
        let bytes = abi::Bytes { data: owner.as_ptr() as *const c_void, size: owner.len() as u64 };
        let owner = Box::into_raw(owner);
        let taken = unsafe { (self.host.respond_take)(self.call, bytes, release, owner as *mut c_void) };
        if taken == code::OK {
            return Ok(());
        }
        drop(unsafe { Box::from_raw(owner) });
        Err(Failure::new(taken, format!("the host did not take an answer of {} bytes", bytes.size)))
    }
}

extern "C" fn release(owner: *mut c_void, _data: *const c_void, _size: u64) {
    drop(unsafe { Box::from_raw(owner as *mut Vec<u8>) });
}

struct Instance<T> {
    host: Host,
    module: T,
}

// Who hears of panics: a library is loaded anew for each instance, so that there is one.
static LISTENER: AtomicPtr<abi::Host> = AtomicPtr::new(ptr::null_mut());

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

// In place of std's, which writes to stderr and reads the debug information of the whole library.
// Serves threads of the module's own as well. It captures nothing, so that nothing is left of it.
fn listen(host: Host) {
    LISTENER.store(host.0 as *mut abi::Host, Ordering::Release);
    set_hook(Box::new(|info| {
        let host = LISTENER.load(Ordering::Acquire);
        if host.is_null() {
            return;
        }
        let at = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
        Host(host).log(level::ERROR, &format!("panicked: {}, at {}", said(info.payload()), at));
    }));
}

// Runs a hook; a panic becomes a Failure.
fn guarded<R>(f: impl FnOnce() -> Result<R, Failure>) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(f))
        .unwrap_or_else(|panic| Err(Failure::new(code::INTERNAL, format!("panic: {}", said(&*panic)))))
}

// Of a hook that can only log why it fails.
fn concluded(host: Host, hook: &str, r: Result<(), Failure>) -> i32 {
    match r {
        Ok(()) => code::OK,
        Err(f) => {
            host.log(level::ERROR, &format!("{}: {}", hook, f.message));
            f.code
        }
    }
}

unsafe extern "C" fn init<T: Module>(host: *const abi::Host, init: *const abi::Init, ret: *mut *mut c_void) -> i32 {
    let (host, init) = (Host(host), &*init);
    listen(host);
    let made = guarded(|| {
        let config = std::str::from_utf8(view(init.config)).unwrap_or("{}");
        T::init(host, &Init { config, version: text(init.version), preflight: init.preflight != 0 })
    });
    let r = made.map(|module| *ret = Box::into_raw(Box::new(Instance { host, module })) as *mut c_void);
    concluded(host, "init", r)
}

unsafe extern "C" fn self_test<T: Module>(this: *mut c_void) -> i32 {
    let this = &*(this as *const Instance<T>);
    concluded(this.host, "self_test", guarded(|| this.module.self_test()))
}

unsafe extern "C" fn handle<T: Module>(this: *mut c_void, call: *mut c_void, request: *const abi::Request) -> i32 {
    let this = &*(this as *const Instance<T>);
    let call = Call { host: &*this.host.0, call, request: &*request };
    match guarded(|| call.respond(this.module.handle(&call)?)) {
        Ok(()) => code::OK,
        Err(f) => {
            if !f.message.is_empty() {
                (call.host.fail)(call.call, c_string(&f.message).as_ptr());
            }
            f.code
        }
    }
}

unsafe extern "C" fn destroy<T: Module>(this: *mut c_void) {
    let this = Box::from_raw(this as *mut Instance<T>);
    let _ = guarded(|| {
        drop(this);
        Ok(())
    });
    LISTENER.store(ptr::null_mut(), Ordering::Release);
}

/// The structures of grayling/module.h, field by field.
pub mod abi {
    use super::Module as Hooks;
    use std::ffi::c_void;
    use std::os::raw::c_char;

    #[repr(C)]
    #[derive(Clone, Copy)]
    pub struct Bytes {
        pub data: *const c_void,
        pub size: u64,
    }
    #[repr(C)]
    pub struct Header {
        pub name: *const c_char,
        pub value: *const c_char,
    }
    #[repr(C)]
    pub struct Request {
        pub struct_size: u32,
        pub method: u32,
        pub interface_name: *const c_char,
        pub method_name: *const c_char,
        pub codec: u32,
        pub n_headers: u32,
        pub headers: *const Header,
        pub payload: Bytes,
        pub deadline_usec: u64,
        pub request_id: *const c_char,
    }
    pub type Release = extern "C" fn(*mut c_void, *const c_void, u64);
    #[repr(C)]
    pub struct Host {
        pub struct_size: u32,
        pub abi_minor: u32,
        pub opaque: *mut c_void,
        pub log: unsafe extern "C" fn(*const Host, i32, *const c_char),
        pub alloc: unsafe extern "C" fn(*const Host, u64) -> *mut c_void,
        pub free: unsafe extern "C" fn(*const Host, *mut c_void),
        pub respond: unsafe extern "C" fn(*mut c_void, Bytes) -> i32,
        pub respond_take: unsafe extern "C" fn(*mut c_void, Bytes, Release, *mut c_void) -> i32,
        pub fail: unsafe extern "C" fn(*mut c_void, *const c_char),
        pub call: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, Bytes, *mut Bytes) -> i32,
        pub time_left_usec: unsafe extern "C" fn(*mut c_void) -> u64,
        pub count: unsafe extern "C" fn(*const Host, *const c_char, u64),
    }
    #[repr(C)]
    pub struct Init {
        pub struct_size: u32,
        pub preflight: u32,
        pub config: Bytes,
        pub version: *const c_char,
    }
    #[repr(C)]
    pub struct Module {
        magic: u64,
        struct_size: u32,
        abi_major: u16,
        abi_minor: u16,
        init: unsafe extern "C" fn(*const Host, *const Init, *mut *mut c_void) -> i32,
        self_test: unsafe extern "C" fn(*mut c_void) -> i32,
        handle: unsafe extern "C" fn(*mut c_void, *mut c_void, *const Request) -> i32,
        state: [usize; 2], // export_state, import_state: none
        destroy: unsafe extern "C" fn(*mut c_void),
    }

    impl Module {
        pub const fn of<T: Hooks>() -> Module {
            Module {
                magic: u64::from_le_bytes(*b"GRAYLING"),
                struct_size: std::mem::size_of::<Module>() as u32,
                abi_major: 1,
                abi_minor: 0,
                init: super::init::<T>,
                self_test: super::self_test::<T>,
                handle: super::handle::<T>,
                state: [0; 2],
                destroy: super::destroy::<T>,
            }
        }
    }
}

/// Exports the entry function of the module type: `grayling::module!(Echo);`
#[macro_export]
macro_rules! module {
    ($module:ty) => {
        #[no_mangle]
        pub extern "C" fn grayling_module_entry() -> *const $crate::abi::Module {
            static MODULE: $crate::abi::Module = $crate::abi::Module::of::<$module>();
            &MODULE
        }
    };
}
