//! trace.dat, version 6: what `trace-cmd report` and KernelShark read.
//!
//! ```text
//!   magic, sizes | header pages | format files | cmdlines | options | where each core's pages are | room | pages ...
//! ```
//!
//! Sub-buffers are Linux's own, so that they are copied as they are. What is lost shows as Linux shows it: as events dropped
//! before a page. A sub-buffer of which something is lost is encoded anew, split where that was. What a format file has to
//! describe is known when all events have been seen; so the head is written last, into room that is left for it.

mod forms;
mod pages;

use forms::Forms;
use pages::{Pages, Written};
use std::io::{self, Seek, SeekFrom, Write};
use trace::{Origin, Trace};

/// Bytes of a sub-buffer if no core has one.
const PAGE: usize = 4096;
/// Largest sub-buffer.
const PAGE_MAX: usize = 1 << 16;
/// Room for format files that turn out to be needed.
const ROOM: u64 = 1 << 16;
/// Options, by the numbers that version 6 has for them.
const OPTION_CPUSTAT: u16 = 2;
const OPTION_TRACECLOCK: u16 = 4;
const OPTION_UNAME: u16 = 5;

/// Writes all of a trace, from the beginning of `out`.
///
/// # Errors
/// Those of `out`.
pub fn write<W: Write + Seek>(trace: &dyn Trace, out: &mut W) -> io::Result<()> {
    let cores = trace.about().cores.len() as u32;
    let size = (0..cores)
        .find_map(|core| trace.pages(core).next())
        .map(|page| page.bytes.len())
        .filter(|size| (PAGE..=PAGE_MAX).contains(size) && size.is_power_of_two())
        .unwrap_or(PAGE);
    let mut forms = Forms::new(trace.schema());
    let loss = forms.unused();
    let mut written = vec![Written::default(); cores as usize];
    let mut start = start_behind(head(trace, &forms, loss, size, 0, &written).len() as u64 + ROOM, size);
    loop {
        out.seek(SeekFrom::Start(start))?;
        let mut pages = Pages::new(out, &mut forms, size, trailer(trace));
        for core in 0..cores {
            written[core as usize] = pages.core(core, trace.pages(core), loss)?;
        }
        let head = head(trace, &forms, loss, size, start, &written);
        if head.len() as u64 <= start {
            out.seek(SeekFrom::Start(0))?;
            return out.write_all(&head);
        }
        // More kinds of events than there is room for: once more, now that they are known.
        start = start_behind(head.len() as u64, size);
    }
}

/// Where pages can begin behind so many bytes.
fn start_behind(bytes: u64, size: usize) -> u64 {
    bytes.next_multiple_of(size as u64)
}

/// Bytes behind each event of a sub-buffer that are no field: our check.
fn trailer(trace: &dyn Trace) -> usize {
    match trace.about().origin {
        Origin::Afterglow { .. } => 4,
        Origin::Linux { .. } | Origin::Listing => 0,
    }
}

/// All that stands before the pages.
fn head(trace: &dyn Trace, forms: &Forms<'_>, loss: u16, size: usize, start: u64, cores: &[Written]) -> Vec<u8> {
    let mut head = b"\x17\x08\x44tracing6\0\0\x08".to_vec();
    head.extend((size as u32).to_le_bytes());
    head.extend(b"header_page\0");
    counted(header_page(size).as_bytes(), &mut head);
    head.extend(b"header_event\0");
    counted(HEADER_EVENT.as_bytes(), &mut head);
    let (own, mut others) = forms.files();
    others.push(forms::loss(loss));
    files(&own, &mut head);
    head.extend(1u32.to_le_bytes());
    head.extend(match trace.about().origin {
        Origin::Afterglow { .. } => &b"afterglow\0"[..],
        Origin::Linux { .. } => b"linux\0",
        Origin::Listing => b"listing\0",
    });
    files(&others, &mut head);
    head.extend(0u32.to_le_bytes()); // kernel symbols
    head.extend(0u32.to_le_bytes()); // formats of trace_printk
    counted(b"0 <idle>\n", &mut head);
    head.extend((cores.len() as u32).to_le_bytes());
    head.extend(b"options  \0");
    options(trace, cores, &mut head);
    head.extend(b"flyrecord\0");
    let mut at = start;
    for core in cores {
        head.extend(at.to_le_bytes());
        head.extend(core.bytes.to_le_bytes());
        at += core.bytes;
    }
    head
}

/// Bytes behind their number.
fn counted(bytes: &[u8], head: &mut Vec<u8>) {
    head.extend((bytes.len() as u64).to_le_bytes());
    head.extend(bytes);
}

/// Format files behind their number.
fn files(files: &[String], head: &mut Vec<u8>) {
    head.extend((files.len() as u32).to_le_bytes());
    files.iter().for_each(|file| counted(file.as_bytes(), head));
}

/// What is said of the whole trace.
fn options(trace: &dyn Trace, cores: &[Written], head: &mut Vec<u8>) {
    let mut option = |number: u16, text: String| {
        head.extend(number.to_le_bytes());
        head.extend((text.len() as u32 + 1).to_le_bytes());
        head.extend(text.as_bytes());
        head.push(0);
    };
    let about = trace.about();
    let name = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    let uname = format!("{}, board {}, build id {}", about.title, name(&about.board), name(&about.build_id));
    option(OPTION_UNAME, uname);
    // Readers show other clocks' times as bare numbers. Ours are nanoseconds since the boot began.
    option(OPTION_TRACECLOCK, "[mono]".into());
    for (core, written) in cores.iter().enumerate() {
        let Written { events, lost, .. } = written;
        option(OPTION_CPUSTAT, format!("CPU: {core}\nentries: {events}\noverrun: {lost}\n"));
    }
    head.extend(0u16.to_le_bytes());
}

/// Linux's description of a sub-buffer's head.
fn header_page(size: usize) -> String {
    let data = size - 16;
    format!(
        "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\
         \tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\
         \tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\
         \tfield: char data;\toffset:16;\tsize:{data};\tsigned:0;\n"
    )
}

/// Linux's description of an event's head.
const HEADER_EVENT: &str = "# compressed entry header\n\
    \ttype_len    :    5 bits\n\
    \ttime_delta  :   27 bits\n\
    \tarray       :   32 bits\n\n\
    \tpadding     : type == 29\n\
    \ttime_extend : type == 30\n\
    \ttime_stamp : type == 31\n\
    \tdata max type_len  == 28\n";
