use super::*;

#[test]
fn instructions_are_known_by_their_bits() {
    // As llvm-mc shows them.
    for (word, is) in [
        (0xd50b_7a20, Some(What::Clean(10))), // dc cvac, x0
        (0xd50b_7c29, Some(What::Clean(12))), // dc cvap, x9
        (0xd50b_7d2a, Some(What::Clean(13))), // dc cvadp, x10
        (0xd50b_7e21, Some(What::Clean(14))), // dc civac, x1
        (0xd50b_7b20, None),                  // dc cvau, x0
        (0xd50b_7420, None),                  // dc zva, x0
        (0xd503_3f9f, Some(What::Dsb)),       // dsb sy
        (0xd503_3b9f, Some(What::Dsb)),       // dsb ish
        (0xd503_309f, None),                  // ssbb
        (0xd503_33bf, Some(What::Dmb)),       // dmb osh
        (0xd503_3fdf, None),                  // isb
        (NOP, None),
    ] {
        assert_eq!(what(word), is, "{word:#x}");
    }
    assert_eq!(branch(0x1000, 0x9400_0002), Some((0x1008, true)));
    assert_eq!(branch(0x1000, 0x17ff_ffff), Some((0xffc, false)));
    assert_eq!(branch(0x1000, 0x5400_0000), None, "b.eq");
}

#[test]
fn the_kernels_cleans_are_found_where_they_are_and_taken_out_alone() {
    let image = qemu::workspace::kernel().unwrap();
    let sites = sites(image);
    for (what, function) in [
        (What::Call, "close_at"),
        (What::Call, "kernel::stop::stand_still"),
        (What::Call, "kernel::panic::run"),
        (What::Call, "ring::region::Header::store"),
        (What::Dsb, "kernel::stop::stand_still"),
    ] {
        let is = |site: &&Site| site.what == what && site.function.contains(function);
        assert!(sites.iter().any(|site| is(&site)), "{what} in {function}: {sites:#?}");
    }
    let site = &sites[0];
    let mutant = without(image, site).unwrap();
    let changed: Vec<usize> = (0..image.bytes().len()).filter(|at| image.bytes()[*at] != mutant.bytes()[*at]).collect();
    assert!(changed.iter().all(|at| (site.at..site.at + 4).contains(&(*at as u64))) && !changed.is_empty());
    assert_eq!(mutant.function("kernel::panic::run"), image.function("kernel::panic::run"));
}

const DC: u32 = 0xd50b_7c20;
const DSB: u32 = 0xd503_3f9f;
const DMB: u32 = 0xd503_33bf;
const FIRST: usize = qemu::image::HEADER_SIZE;

/// A flat image with a clean, a DSB and a DMB behind its header.
fn image() -> Image {
    let mut bytes = qemu::image::header(4096).to_vec();
    bytes.extend([DC, DSB, DMB].map(u32::to_le_bytes).as_flattened());
    Image::from_flat(bytes).unwrap()
}

/// Whether an instruction is still in it.
fn has(image: &Image, word: u32) -> bool {
    image.bytes()[FIRST..].chunks_exact(4).any(|bytes| bytes == word.to_le_bytes())
}

fn crash(noticed: bool, unordered: u64) -> Crashed {
    let mut crashed = Crashed { reset: Default::default(), told: String::new(), verdict: Default::default() };
    crashed.reset.watched = vec![1; 3];
    crashed.reset.counts.unordered = unordered;
    if noticed {
        crashed.verdict.violations.push(crate::judge::Violation::BootLost { boot: 1 });
    }
    crashed
}

/// A runner whose n-th crash of a lane is what the function says.
fn runner(crash: impl Fn(&Image, u64) -> Result<Crashed>) -> impl FnMut(&Lane, &Image, Each<'_>) -> Result<u64> {
    move |lane, image, each| {
        for number in 1..=lane.crashes {
            if each(&crash(image, number)?).is_break() {
                return Ok(number);
            }
        }
        Ok(lane.crashes)
    }
}

type Each<'a> = &'a mut dyn FnMut(&Crashed) -> ControlFlow<()>;

fn two_lanes() -> [Lane; 2] {
    [Lane { crashes: 30, ..Lane::default() }, Lane { crashes: 600, ..Lane::default() }]
}

#[test]
fn a_mutant_is_found_at_its_first_violation_and_one_that_is_not_has_had_all_crashes() {
    // Nobody notices the DSB; the clean is noticed at the third crash of a lane.
    let mut run = runner(|image, number| Ok(crash(!has(image, DC) && number >= 3, 0)));
    let mut seen = 0;
    let rows = all(&image(), &two_lanes(), &|_| true, &mut run, &mut |_| seen += 1).unwrap();
    let found: Vec<(What, Option<u64>, u64, bool)> = rows
        .iter()
        .map(|row| (row.site.what, row.found.as_ref().map(|it| it.0), row.crashes, row.nothing_to_order))
        .collect();
    assert_eq!(
        found,
        [
            (What::Clean(12), Some(3), 3, false),
            (What::Dsb, None, CRASHES_MAX, false),
            (What::Dmb, None, CRASHES_MAX, true)
        ]
    );
    assert_eq!(rows[0].found.as_ref().unwrap().1, "boot 1 was in the header, and memory does not know it");
    assert_eq!(seen, 3);
}

#[test]
fn a_dmb_that_had_something_to_order_is_no_excuse() {
    let mut run = runner(|image, number| Ok(crash(false, u64::from(!has(image, DMB) && number == 29))));
    let rows = all(&image(), &two_lanes(), &|site| site.what == What::Dmb, &mut run, &mut |_| {}).unwrap();
    assert!(rows[0].found.is_none() && !rows[0].nothing_to_order);
}

#[test]
fn what_is_not_executed_is_no_mutant() {
    let mut run = runner(|_, _| {
        let mut crashed = crash(false, 0);
        crashed.reset.watched = vec![0, 1, 0];
        Ok(crashed)
    });
    let rows = all(&image(), &two_lanes(), &|_| true, &mut run, &mut |_| {}).unwrap();
    assert_eq!(rows.iter().map(|row| row.site.what).collect::<Vec<_>>(), [What::Dsb]);
    let mut run = runner(|_, _| Ok(Crashed { reset: Default::default(), ..crash(false, 0) }));
    assert!(all(&image(), &two_lanes(), &|_| true, &mut run, &mut |_| {}).is_err());
}

#[test]
fn nothing_may_be_noticed_of_the_kernel_itself() {
    let mut run = runner(|image, number| Ok(crash(has(image, DC) && number == 30, 0)));
    let error = control(&image(), &two_lanes(), &mut run).unwrap_err().to_string();
    assert!(error.contains("nothing taken out") && error.contains("memory does not know it"), "{error}");
    let mut run = runner(|_, _| Ok(crash(false, 0)));
    assert_eq!(control(&image(), &two_lanes(), &mut run).unwrap(), 630);
}

#[test]
fn a_machine_that_gets_nowhere_counts_if_it_does_so_again() {
    let nowhere = || anyhow::anyhow!("no reset in 60 s\nits console");
    let is_dsb = |site: &Site| site.what == What::Dsb;
    let mut run =
        runner(|image, number| if has(image, DSB) || number < 4 { Ok(crash(false, 0)) } else { Err(nowhere()) });
    let rows = all(&image(), &two_lanes(), &is_dsb, &mut run, &mut |_| {}).unwrap();
    assert_eq!(rows[0].found, Some((6, "no reset in 60 s".to_owned())));
    // Only once: the host was busy, and nothing is known.
    let once = std::cell::Cell::new(false);
    let mut run =
        runner(|image, _| if has(image, DSB) || once.replace(true) { Ok(crash(false, 0)) } else { Err(nowhere()) });
    assert!(all(&image(), &two_lanes(), &is_dsb, &mut run, &mut |_| {}).is_err());
}
