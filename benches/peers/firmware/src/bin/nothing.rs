//! Infers nothing: what all of these programs have around a model.

#![no_std]
#![no_main]

use cortex_m_rt::entry;
use stepshift_peers_firmware::measure;

#[entry]
fn main() -> ! {
    measure(|_| (), |()| (), |(), _| 0)
}
