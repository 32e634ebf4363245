//! Reads arrays out of a `NumPy` `.npz`: a zip of `.npy` files.
//!
//! Source: the `.npy` format, versions 1 and 2, in `numpy.lib.format`.

use std::{fs::File, io::Read, path::Path};

use anyhow::{Context, ensure};

/// A matrix of numbers, row by row.
pub(crate) struct Array {
    pub(crate) rows: usize,
    /// 1 for a vector.
    pub(crate) columns: usize,
    pub(crate) values: Vec<f32>,
}

impl Array {
    /// Row by row.
    pub(crate) fn lines(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.columns.max(1))
    }
}

/// An opened `.npz`.
pub(crate) struct Npz {
    zip: zip::ZipArchive<File>,
    path: String,
}

impl Npz {
    /// # Errors
    /// When `path` cannot be read or is no zip.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
        let zip = zip::ZipArchive::new(file).with_context(|| format!("{shown} is no zip"))?;
        Ok(Self { zip, path: shown })
    }

    /// The array `name`, which holds `f4` or `u1`.
    ///
    /// # Errors
    /// When there is no such array, or it is none of these.
    pub(crate) fn array(&mut self, name: &str) -> anyhow::Result<Array> {
        let context = format!("array {name} of {}", self.path);
        let mut bytes = Vec::new();
        self.zip
            .by_name(&format!("{name}.npy"))
            .with_context(|| context.clone())?
            .read_to_end(&mut bytes)
            .with_context(|| context.clone())?;
        parse(&bytes).with_context(|| context)
    }
}

fn parse(bytes: &[u8]) -> anyhow::Result<Array> {
    ensure!(bytes.starts_with(b"\x93NUMPY"), "not an .npy file");
    let wide = *bytes.get(6).context("no version")? > 1;
    let start = if wide { 12 } else { 10 };
    let length = bytes.get(8..start).context("no header")?;
    let length = length
        .iter()
        .rev()
        .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
    let header = bytes.get(start..start + length).context("short header")?;
    let header = std::str::from_utf8(header).context("header is no text")?;
    let data = &bytes[start + length..];
    let (rows, columns) = shape(header)?;
    let values: Vec<f32> = if header.contains("'<f4'") {
        data.as_chunks()
            .0
            .iter()
            .map(|four| f32::from_le_bytes(*four))
            .collect()
    } else {
        ensure!(header.contains("'|u1'"), "neither f4 nor u1: {header}");
        data.iter().map(|byte| f32::from(*byte)).collect()
    };
    ensure!(
        values.len() == rows * columns,
        "{} values, {rows} x {columns} expected",
        values.len()
    );
    let values = if header.contains("'fortran_order': True") {
        (0..rows * columns)
            .map(|at| values[at % columns * rows + at / columns])
            .collect()
    } else {
        values
    };
    Ok(Array {
        rows,
        columns,
        values,
    })
}

/// Rows and columns out of `'shape': (3, 4), ` or `'shape': (3,), `.
fn shape(header: &str) -> anyhow::Result<(usize, usize)> {
    let shape = header
        .split_once("'shape': (")
        .and_then(|(_, rest)| rest.split_once(')'))
        .with_context(|| format!("no shape in {header}"))?
        .0;
    let mut sizes = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    let rows = sizes.next().context("empty shape")?.parse()?;
    let columns = sizes.next().map_or(Ok(1), str::parse)?;
    ensure!(sizes.next().is_none(), "more than two dimensions: {shape}");
    Ok((rows, columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap();
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn both_orders_come_out_row_by_row() {
        let head =
            |order| format!("{{'descr': '|u1', 'fortran_order': {order}, 'shape': (2, 3), }}");
        let rows = parse(&npy(&head("False"), &[1, 2, 3, 4, 5, 6])).unwrap();
        let columns = parse(&npy(&head("True"), &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!(rows.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(rows.values, columns.values);
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let head = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
        assert!(parse(&npy(head, &[0; 8])).is_ok());
        assert!(parse(&npy(head, &[0; 7])).is_err());
        assert!(parse(b"\x93NUMPY\x01\x00\xff\xff").is_err());
    }
}
