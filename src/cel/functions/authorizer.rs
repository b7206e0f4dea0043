//! The authorizer (Kubernetes 1.27), which is not here: each of its checks is a SubjectAccessReview, a question that only the API server
//! can answer, and that the request alone does not. Expressions that use it are refused where they are compiled.

/// The variable and the functions of its library.
const NAMES: &[&str] = &[
    "authorizer",
    "path",
    "group",
    "resource",
    "subresource",
    "namespace",
    "name",
    "serviceAccount",
    "fieldSelector",
    "labelSelector",
    "check",
    "allowed",
    "reason",
    "errored",
    "error",
];

/// Why a name of this library is not known; nothing for any other name.
pub(in crate::cel) fn refusal(name: &str) -> Option<&'static str> {
    NAMES.contains(&name).then_some(
        "the authorizer of Kubernetes asks the API server with a SubjectAccessReview, which an admission request alone does not answer; \
         keep such a rule in a ValidatingAdmissionPolicy",
    )
}
