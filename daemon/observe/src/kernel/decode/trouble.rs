//! Events about tasks that hang and hardware that fails.

use hostmedic_abi as abi;
use hostmedic_model::signal::{
    Fact, HardwareError, HardwareSource, HungTask, RcuStall, TransmitTimeout,
};

use super::{process, text};
use crate::kernel::event::{About, KernelEvent};

pub(super) fn hung_task(event: abi::HungTask) -> KernelEvent {
    let task = process::task(&event.task);
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: process::about(&task),
        fact: Fact::HungTask(HungTask { task }),
    }
}

pub(super) fn rcu_stall(event: abi::RcuStall) -> KernelEvent {
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Host,
        fact: Fact::RcuStall(RcuStall {
            flavour: text(&event.flavour),
            kind: text(&event.kind),
        }),
    }
}

pub(super) fn transmit_timeout(event: abi::TransmitTimeout) -> KernelEvent {
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Interface {
            index: event.interface,
        },
        fact: Fact::TransmitTimeout(TransmitTimeout { queue: event.queue }),
    }
}

pub(super) fn hardware_error(event: abi::HardwareError) -> KernelEvent {
    let label = text(&event.label);
    let (source, place) = match event.source {
        abi::HARDWARE_MEMORY => (HardwareSource::MemoryController, label),
        abi::HARDWARE_PAGE => (
            HardwareSource::MemoryPage,
            format!("page frame {:#x}", event.number),
        ),
        abi::HARDWARE_PCIE => (HardwareSource::Pcie, label),
        _ => (
            HardwareSource::MachineCheck,
            format!(
                "CPU {}, bank {}",
                event.number >> 32,
                event.number & 0xffff_ffff
            ),
        ),
    };
    KernelEvent {
        at_boot_ns: event.at_boot_ns,
        about: About::Host,
        fact: Fact::HardwareError(HardwareError {
            source,
            place,
            corrected: match event.corrected {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            },
        }),
    }
}
