//! The heart: policies in, a subject in, a verdict out. Pure: no clock, file, socket, thread or cluster.
//!
//! - `schema`, `waiver_schema`: the three kinds as they are written
//! - `json_schemas`: the same for editors and other programs
//! - `conditions`: which requests nobody judges, so that a cluster keeps running
//! - `location`: the `at` of a validation
//! - `compile`: documents to policies that can be evaluated, which `compiled` holds; `mistake` what is wrong with one
//! - `native`: `ValidatingAdmissionPolicy` and its bindings, in and out
//! - `set`: [`PolicySet`], the policies in force
//! - `library`: the built-in policies
//! - `load`: texts to a [`PolicySet`], mistakes with line and column
//! - `subject`: [`Subject`] and [`Facts`], what is judged and what is known
//! - `related`: what a set of files knows about the rest of the cluster
//! - `wanted`: which objects judging a subject will read beside it
//! - `declared`, `schemas`: what the type checker knows of the names and of the objects
//! - `lint`: what can be said of a policy before it judges anything
//! - `select`: which policies speak about a subject; `matches` what a resource's name leaves of them
//! - `due`: which injections are due, and who has a say
//! - `staging`: the pod as it will be after defaults and injections
//! - `stage`: what an expression sees
//! - `evaluate`: the judging itself
//! - `substance`: what makes a violation the same one in another version of its object
//! - `unseen`: objects whose containers no rule sees
//! - `waive`: exemptions and waivers
//! - `waiver_object`: a waiver on its way into the cluster: asked for by one, approved by another
//! - `waiver_state`: where each waiver stands
//! - `verdict`: [`Verdict`], the answer
//! - `proof`: that an injection of an operator's settles and is accepted, before it acts
//! - `mend`: the change that ends a violation, proven by judging again
//! - `portrait`: who a pod will be, for people who ask
//! - `case`: the proof beside each policy, and how it is run

mod case;
mod compile;
mod compiled;
pub mod conditions;
mod declared;
mod due;
mod evaluate;
mod json_schemas;
mod library;
mod lint;
mod load;
mod location;
mod matches;
mod mend;
mod mistake;
mod native;
mod portrait;
mod proof;
mod related;
mod schema;
mod schemas;
mod select;
mod set;
mod stage;
mod staging;
mod subject;
mod substance;
mod unseen;
mod verdict;
mod waive;
mod waiver_object;
mod waiver_schema;
mod waiver_state;
mod wanted;
mod workload;

pub use case::{Case, CaseFailure, CaseFile, mended_in_case, run_case};
pub use compiled::{IdentityPolicy, InjectionPolicy};
pub use evaluate::{Limits, evaluate};
pub use json_schemas::{IDENTITY_POLICY_SCHEMA, INJECTION_POLICY_SCHEMA, WAIVER_SCHEMA};
pub use library::{POLICIES, README};
pub use lint::{Finding, Ground, Release, Weight, lint, param_kinds};
pub use load::{Sources, Text, load};
pub use location::{Location, LocationError};
pub use mend::mend;
pub use mistake::PolicyError;
pub use native::{Export, ExportedPolicy, Omission, ParameterQuery, export};
pub use portrait::{Portrait, placing_resources, portrait, registration_resources};
pub use proof::{Counterexample, Failure, OtherWebhook, orders, other_webhooks, prove_all};
pub use related::RelatedIndex;
pub use schema::{
    API_VERSION, Carrier, FailurePolicy, IdentityPolicySpec, InjectionPolicySpec, Match, OperationName, Reason, RelatedResource,
    ResourceRule, Severity, When,
};
pub use schemas::Schemas;
pub use set::{PolicySet, PolicySetBuilder, PolicySource};
pub use staging::{Mutation, inject_virtually, mutate};
pub use subject::{Deadline, Facts, Operation, RequestError, Source, Subject, manifest_request};
pub use unseen::{UNSEEN_RULE, unlisted_secrets, unseen};
pub use verdict::{Certainty, Verdict, Violation};
pub use waive::{Waiver, exemption_reason};
pub use waiver_object::{RULE as WAIVER_RULE, waivers_resource};
pub use waiver_schema::{IdentityWaiverSpec, IdentityWaiverStatus};
pub use waiver_state::{WaiverState, lifting_waiver, waiver_state, waiver_states};
pub use wanted::{config_maps_resource, wanted};
