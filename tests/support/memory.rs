//! What the kernel says of a process' memory.

use std::fmt::Display;
use std::fs;

/// A size of `/proc/PROCESS/status`, in octets: `VmRSS` is what the process has, `VmHWM` the most
/// that it had. The process is an id, or `self`.
pub(crate) fn of(process: impl Display, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let mut lines = status.lines();
    let size = lines.find_map(|line| {
        line.strip_prefix(key)?
            .strip_prefix(':')?
            .strip_suffix(" kB")
    });
    let kibibytes: u64 = size
        .and_then(|size| size.trim().parse().ok())
        .expect("a size");
    kibibytes * 1024
}
