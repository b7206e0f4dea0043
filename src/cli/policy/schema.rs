//! `doorward policy schema`: what each file and each interface looks like, as JSON Schema.

use crate::cli::exit::Exit;
use crate::cli::print;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  doorward policy schema settings > doorward.schema.json\n  doorward policy schema identity-policy | jq .properties.spec"
)]
pub(in crate::cli) struct Args {
    /// What the schema is of
    #[arg(value_name = "KIND")]
    of: Described,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Described {
    /// A policy of the kind IdentityPolicy
    IdentityPolicy,
    /// A policy of the kind InjectionPolicy
    InjectionPolicy,
    /// A waiver of the kind IdentityWaiver
    Waiver,
    /// The settings file, and `params` in expressions
    Settings,
    /// What `doorward audit -o json` prints
    Report,
    /// `identity` in expressions
    Identity,
}

pub(super) fn run(args: &Args) -> Exit {
    print(match args.of {
        Described::IdentityPolicy => crate::policy::IDENTITY_POLICY_SCHEMA,
        Described::InjectionPolicy => crate::policy::INJECTION_POLICY_SCHEMA,
        Described::Waiver => crate::policy::WAIVER_SCHEMA,
        Described::Settings => crate::settings::SCHEMA,
        Described::Report => crate::report::SCHEMA,
        Described::Identity => crate::identity::SCHEMA,
    });
    Exit::Clean
}
