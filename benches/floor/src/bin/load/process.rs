//! CPU time and memory of a process, from `/proc`.

use std::time::Duration;

/// Linux counts CPU time in ticks of 10 ms for user space, whatever the kernel's own rate (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// CPU time of every thread a process ever had, user and system together.
pub(crate) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    cpu_time_in(&stat)
}

/// The second field is the program's name and may hold spaces and brackets, so fields count from its last `)`.
fn cpu_time_in(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: u32 = fields.next()?.parse().ok()?;
    let system: u32 = fields.next()?.parse().ok()?;
    Some(TICK * user.checked_add(system)?)
}

/// Resident memory in KiB: now, and the highest so far.
pub(crate) fn resident_kib(pid: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::{cpu_time, cpu_time_in, resident_kib};
    use std::time::Duration;

    #[test]
    fn a_name_with_spaces_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 120 30 0 0 20 0 3 0 1 1 1";
        assert_eq!(cpu_time_in(stat), Some(Duration::from_millis(1500)));
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(cpu_time(pid).is_some());
        let (now, peak) = resident_kib(pid).expect("our own status");
        assert!(0 < now && now <= peak, "{now} KiB of {peak} KiB");
    }
}
