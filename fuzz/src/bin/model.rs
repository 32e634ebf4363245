//! Any bytes as an embedding model, and the shipped one with damage: it is refused, or what it
//! gives is finite.
#![no_main]

use std::sync::LazyLock;

use hostmedic_embed::Model;
use libfuzzer_sys::fuzz_target;

static SHIPPED: &[u8] = include_bytes!("../../../daemon/embed/model/all-minilm-l6-v2.hmlm");

/// Bytes of one damage: where (4), what (1).
const DAMAGE: usize = 5;

static INTACT: LazyLock<Vec<u8>> = LazyLock::new(|| SHIPPED.to_vec());

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    if kind % 4 == 0 {
        embeds(data);
        return;
    }
    let mut bytes = INTACT.clone();
    if kind % 4 == 1 {
        // The header says how much is read, and from where.
        let header = data.len().min(64);
        bytes[..header].copy_from_slice(&data[..header]);
    }
    for damage in data.chunks_exact(DAMAGE) {
        let (at, value) = damage.split_at(4);
        let at = u32::from_le_bytes(at.try_into().unwrap_or_default()) as usize;
        // Near the start lies what decides most.
        let reach = if kind % 4 == 2 { 4096 } else { bytes.len() };
        bytes[at % reach] = value[0];
    }
    embeds(&bytes);
});

fn embeds(bytes: &[u8]) {
    if let Ok(model) = Model::read(bytes) {
        let vector = model.embed("the disk is full");
        assert!(vector.values().iter().all(|value| value.is_finite()));
    }
}
