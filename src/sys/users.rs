//! Names of users, as the system's name service gives them.

use std::ffi::CStr;

/// `None` when the uid has no name.
pub fn name_of(uid: u32) -> Option<String> {
    let mut buffer: Vec<libc::c_char> = vec![0; 4096];
    // SAFETY: a passwd is plain data; all zero is valid, and it is filled by the call below.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = std::ptr::null_mut();
    // SAFETY: every pointer is valid for the call, and the length is the buffer's own.
    let status = unsafe { libc::getpwuid_r(uid, &mut entry, buffer.as_mut_ptr(), buffer.len(), &mut found) };
    if status != 0 || found.is_null() || entry.pw_name.is_null() {
        return None;
    }
    // SAFETY: on success pw_name is a C string inside `buffer`, which is still alive.
    let name = unsafe { CStr::from_ptr(entry.pw_name) };
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn root_has_a_name_and_nonsense_has_none() {
        assert_eq!(super::name_of(0).as_deref(), Some("root"));
        assert_eq!(super::name_of(3_999_999_999), None);
    }
}
