//! The exit codes: an interface that pipelines rely on.

use std::process::ExitCode;

/// How a command ended. Where several apply, the first of 4, 2, 3, 1 wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: nothing at or above `--fail-on`.
    Clean,
    /// 1: violations at or above `--fail-on`, or failed cases.
    Violations,
    /// 2: a bad policy, settings or waiver file, or a server that cannot start with what it was given.
    Policy,
    /// 3: input that could not be read, and the rest was judged; or a report that could not be written.
    Input,
    /// 4: the cluster could not be reached, or refused.
    Cluster,
    /// 64: wrong usage.
    Usage,
}

/// What `--help` says about them.
pub(super) const HELP: &str =
    "Exit codes: 0 clean, 1 violations, 2 bad policy or settings, 3 bad input, 4 cluster unreachable, 64 wrong usage";

impl Exit {
    /// The code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Violations => 1,
            Self::Policy => 2,
            Self::Input => 3,
            Self::Cluster => 4,
            Self::Usage => 64,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
