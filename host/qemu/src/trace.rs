//! What QEMU's own trace says about interrupts from core to core: the proof that none was sent.

/// The trace events that together show every way in which software can raise a software-generated interrupt, with a GICv3
/// or a GICv2. For [`Machine::trace`](crate::Machine::trace).
pub const SGI_EVENTS: &[&str] =
    &["gicv3_icc_generate_sgi", "gicv3_redist_send_sgi", "gicv3_redist_write", "gic_dist_write"];

/// The lines of a trace that speak of an SGI. They say who sent what to whom.
///
/// Those are: `ICC_SGI*R` was written (GICv3), an SGI reached a redistributor, an SGI was made pending by
/// `GICR_ISPENDR0`, `GICD_SGIR` or `GICD_SPENDSGIR<n>` was written (GICv2).
pub fn sgis(trace: &str) -> impl Iterator<Item = &str> {
    trace.lines().filter(|line| {
        line.contains("gicv3_icc_generate_sgi")
            || line.contains("gicv3_redist_send_sgi")
            || line.contains("gicv3_redist_write") && sets_sgi_pending(line)
            || line.contains("gic_dist_write") && is_v2_send(line)
    })
}

/// "GICv3 redistributor 0x1 write: offset 0x10200 data 0x1 size 4 secure 0"
fn sets_sgi_pending(line: &str) -> bool {
    /// GICR_ISPENDR0: the SGIs are its lowest 16 bits (Arm GICv3 specification, 12.11.25).
    const ISPENDR0: u64 = 0x1_0200;
    const SGIS: u64 = 0xffff;
    number_after(line, "offset ") == Some(ISPENDR0) && number_after(line, "data ").is_none_or(|data| data & SGIS != 0)
}

/// "dist write at 0x00000f00 size 4: 0x02010000"
fn is_v2_send(line: &str) -> bool {
    /// GICD_SGIR, and GICD_SPENDSGIR0 to 3 (Arm GICv2 specification, 4.3.15 and 4.3.17).
    const SGIR: std::ops::Range<u64> = 0xf00..0xf04;
    const SPENDSGIR: std::ops::Range<u64> = 0xf20..0xf30;
    number_after(line, "write at ").is_none_or(|at| SGIR.contains(&at) || SPENDSGIR.contains(&at))
}

fn number_after(line: &str, words: &str) -> Option<u64> {
    let (_, rest) = line.split_once(words)?;
    let digits = rest.strip_prefix("0x")?;
    let end = digits.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(digits.len());
    u64::from_str_radix(&digits[..end], 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sgi_is_seen_whichever_way_it_is_sent() {
        let sent = "\
gicv3_icc_generate_sgi GICv3 CPU i/f 0x0 generating SGI 1 IRM 0 target affinity 0x0xx targetlist 0x2
gicv3_redist_send_sgi GICv3 redistributor 0x1 pending SGI 1
gicv3_redist_write GICv3 redistributor 0x1 write: offset 0x10200 data 0x2 size 4 secure 0
gic_dist_write dist write at 0x00000f00 size 4: 0x02010000
gic_dist_write dist write at 0x00000f21 size 1: 0x00000001";
        assert_eq!(sgis(sent).count(), 5);
    }

    #[test]
    fn what_only_sets_a_controller_up_is_none() {
        let set_up = "\
gicv3_redist_write GICv3 redistributor 0x1 write: offset 0x10080 data 0xffffffff size 4 secure 0
gicv3_redist_write GICv3 redistributor 0x1 write: offset 0x10200 data 0x40000000 size 4 secure 0
gic_dist_write dist write at 0x00000000 size 4: 0x00000001
a line of something else";
        assert_eq!(sgis(set_up).count(), 0);
    }
}
