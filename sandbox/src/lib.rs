//! Confines one process: policy, plan, launch, cgroups, seccomp.
