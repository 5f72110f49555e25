//! Where the names of a part of a Redis Cluster are: the cluster puts a name into one of 16,384 slots by what stands in its first
//! braces, and each slot has one server. Every node works both out alike.

use crate::config::Shard;

/// The slots of every Redis Cluster.
const SLOTS: u32 = 16_384;

/// What every name of the part begins with: braces around a number whose slot is in the part's share of all slots. So the parts lie
/// as evenly over the servers as the slots do.
pub fn tag_of(shard: Shard) -> Box<[u8]> {
    let of = u32::from(shard.of).max(1);
    let first = |number: u32| number * SLOTS / of;
    let share = first(u32::from(shard.number))..first(u32::from(shard.number) + 1);
    let is_there = |number: &u32| share.contains(&slot_of(number.to_string().as_bytes()));
    // Some hundred numbers have been tried by then; every slot has one below a million.
    let number = (0..1_000_000).find(is_there).unwrap_or(0);
    format!("{{{number}}}").into_bytes().into()
}

/// The slot of what stands in the braces: CRC-16/XMODEM, as the specification of Redis Cluster has it.
fn slot_of(name: &[u8]) -> u32 {
    let crc = name.iter().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x1021,
        })
    });
    u32::from(crc) % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // CRC16("123456789") is 0x31C3.
        assert_eq!(slot_of(b"123456789"), 0x31c3 % SLOTS);
        assert_eq!((slot_of(b"foo"), slot_of(b"")), (12_182, 0));
    }

    #[test]
    fn every_part_has_a_slot_of_its_own_share() {
        for of in [1, 2, 3, 16, 64] {
            for number in 0..of {
                let tag = tag_of(Shard { number, of });
                let name = tag.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}")).unwrap();
                let share = slot_of(name) * u32::from(of) / SLOTS;
                assert_eq!(share, u32::from(number), "{:?}", String::from_utf8_lossy(&tag));
            }
        }
    }
}
