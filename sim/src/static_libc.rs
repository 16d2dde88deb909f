//! What a static binary has in the place of `dlsym`.
//!
//! madsim stands in front of some functions of the C library (time, random bytes, ...) and looks with `dlsym` for those
//! behind it, which the dynamic loader would find. In a static binary there is none, and they are known by the names that
//! glibc itself uses for them.

use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;

unsafe extern "C" {
    fn __clock_gettime();
    fn __gethostname();
    fn __getrandom();
    fn __gettimeofday();
    fn __pthread_attr_init();
    fn __sched_getaffinity_new();
    fn __sysconf();
}

/// The function of the C library that is called `symbol`; null if it is none of those that madsim looks for.
///
/// # Safety
/// `symbol` is a string that ends with a zero, as `dlsym` asks for.
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsym(_handle: *mut c_void, symbol: *const c_char) -> *mut c_void {
    // SAFETY: the caller says so.
    let symbol = unsafe { CStr::from_ptr(symbol) };
    let function: unsafe extern "C" fn() = match symbol.to_bytes() {
        b"clock_gettime" => __clock_gettime,
        b"gethostname" => __gethostname,
        b"getrandom" => __getrandom,
        b"gettimeofday" => __gettimeofday,
        b"pthread_attr_init" => __pthread_attr_init,
        b"sched_getaffinity" => __sched_getaffinity_new,
        b"sysconf" => __sysconf,
        _ => return null_mut(),
    };
    function as *mut c_void
}
