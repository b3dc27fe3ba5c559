//! What a table keeps in one place, and its form. Any octets are a bucket.

/// The form of a table.
#[derive(Debug, Clone, Copy)]
pub(in crate::driver::security) struct TableForm {
    /// The name of its file.
    pub(in crate::driver::security) name: &'static str,
    /// The first octets of the file.
    pub(in crate::driver::security) magic: [u8; 8],
    /// How many buckets there are.
    pub(in crate::driver::security) buckets: u16,
    /// Octets of a bucket.
    pub(in crate::driver::security) bucket: usize,
}

/// Some entries of a table.
pub(in crate::driver::security) trait TableBucket: Default {
    /// That of its table.
    const FORM: TableForm;

    /// From the octets of a file, as many as the form says.
    fn read(octets: &[u8]) -> Self;

    /// For a file, as many as the form says.
    fn octets(&self) -> Vec<u8>;
}
