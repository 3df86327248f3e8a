//! The stream of bytes to and from the host: semihosting in QEMU, RTT on hardware; and where logs go.

#[cfg(feature = "rtt")]
mod rtt;
#[cfg(not(feature = "rtt"))]
mod semihosting;

#[cfg(feature = "rtt")]
pub(crate) use rtt::HostLink;
#[cfg(not(feature = "rtt"))]
pub(crate) use semihosting::HostLink;

/// The host is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// Both directions of a stream.
pub(crate) trait Link {
    /// Waits for as many bytes.
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Closed>;

    /// Waits until the host can take all of them.
    fn write(&mut self, bytes: &[u8]);

    /// After [`stepshift_tests::wire::Request::End`]: QEMU ends, hardware waits for the next host.
    fn end(&mut self, success: bool);
}
