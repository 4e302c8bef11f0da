//! x
use wire::page::*;
#[test]
fn ratio() {
    for f in ["default", "mixed", "typed"] {
        let b = std::fs::read(format!("/tmp/wire/{f}.region")).unwrap();
        let mut model = Box::new(Model::NEW);
        let g = ring::format::Geometry::new(8 << 20, 4, 4).unwrap();
        let bank = &b[g.bank(0) as usize..][..g.bank_size as usize];
        let (mut ev, mut other, mut n, mut raws) = (0, 0, 0, 0);
        for (i, p) in bank.chunks_exact(4096).enumerate() {
            let at = i as u64 * 4096;
            let is = (0..4).any(|c| at >= g.subbuf(c, 0) && at < g.subbuf(c, 0) + g.ring() * 4096);
            let content = if is { Content::Events } else { Content::Words };
            let mut page: Page = p.try_into().unwrap();
            let mut out = [0; 4096];
            match encode(content, &mut page, &mut model, &mut out) {
                Some(k) => {
                    assert!(decode(content, &out[..k], &mut model) == Some(page));
                    if is {
                        ev += k;
                        n += 1
                    } else {
                        other += k
                    }
                }
                None => raws += 1,
            }
        }
        println!(
            "{f}: raw {} events {ev} in {n} pages ({} each), other {other}, raws {raws}: {:.1} s",
            bank.len(),
            ev / n,
            (ev + other) as f64 / 11520.0
        );
    }
}
