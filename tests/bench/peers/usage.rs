//! What a process has taken of the machine.

use std::fs;
use std::time::Duration;

/// So far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Of all processors together.
    pub(crate) processor: Duration,
    /// Octets that are resident.
    pub(crate) memory: u64,
}

/// Of a process that runs.
///
/// # Errors
/// It does not.
pub(crate) fn of(process: u32) -> Result<Usage, String> {
    let gone = |error| format!("it has ended: {error}");
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).map_err(gone)?;
    // The name is in parentheses, and may contain anything.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    // utime and stime, the 14th and 15th with the id and the name, in hundredths of a second.
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
    };
    let ticks = ticks(11).zip(ticks(12)).ok_or("no times")?;
    if fields.first() == Some(&"Z") {
        return Err("it has ended".to_owned());
    }
    let status = fs::read_to_string(format!("/proc/{process}/status")).map_err(gone)?;
    let mut lines = status.lines();
    let resident = lines.find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    let resident = resident.and_then(|size| size.trim().parse::<u64>().ok());
    Ok(Usage {
        processor: Duration::from_millis(10 * (ticks.0 + ticks.1)),
        // Whoever is ending has none any more.
        memory: 1024 * resident.ok_or("it has ended")?,
    })
}
