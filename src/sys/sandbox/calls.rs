//! The calls that no relay makes, and that attacks on kernels and other processes are made of. They fail with EPERM.
//!
//! A short list of what is forbidden, not a long one of what is allowed: libraries and kernels change which of the
//! ordinary calls they use, and a relay must not stop because of that.

use std::collections::BTreeMap;
use std::env::consts::ARCH;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use super::needs::SystemReach;

/// Other processes' memory; mounts and namespaces; the kernel's own insides, clocks and keys; what exploits of the last
/// years began with.
const FORBIDDEN: &[i64] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Forbids them to this thread and all that come from it.
///
/// # Errors
/// In words, where the kernel or the library cannot.
pub(super) fn forbid(reach: SystemReach) -> Result<(), String> {
    let connecting = [libc::SYS_connect].into_iter().filter(|_| reach == SystemReach::NoConnections);
    let rules: BTreeMap<i64, Vec<_>> =
        FORBIDDEN.iter().copied().chain(connecting).map(|call| (call, Vec::new())).collect();
    let arch = ARCH.try_into().map_err(|_| format!("no filter for {ARCH}"))?;
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, eperm, arch).map_err(|error| error.to_string())?;
    let program: BpfProgram = filter.try_into().map_err(|error| format!("{error}"))?;
    apply_filter(&program).map_err(|error| error.to_string())
}
