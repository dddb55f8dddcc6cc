//! Modules that write to the log, assembled from text.

use super::hostile::Recipe;

/// Writes a text to the log so many times, at the level of this number, and abstains from all.
pub(crate) fn logs(level: u32, text: &str, times: u32) -> Vec<u8> {
    logs_octets(level, text.as_bytes(), times)
}

/// The same with any octets.
pub(crate) fn logs_octets(level: u32, octets: &[u8], times: u32) -> Vec<u8> {
    let escaped: String = octets
        .iter()
        .map(|octet| format!("\\{octet:02x}"))
        .collect();
    let fields = format!("(data (i32.const 8192) \"{escaped}\")");
    writes_to_log(&fields, level, 8192, octets.len(), times)
}

/// Writes what is not in its memory to the log.
pub(crate) fn logs_out_of_bounds() -> Vec<u8> {
    writes_to_log("", 2, 0xFFFF_0000, 16, 1)
}

fn writes_to_log(fields: &str, level: u32, at: u32, octets: usize, times: u32) -> Vec<u8> {
    let candidates = "(i32.load offset=$CANDIDATES (local.get 0))";
    Recipe {
        imports: r#"(import "rutter:policy/log@1.0.0" "log" (func $log (param i32 i32 i32)))"#,
        fields,
        evaluate: &format!(
            "(local $left i32)
            (local.set $left (i32.const {times}))
            (loop $next
                (call $log (i32.const {level}) (i32.const {at}) (i32.const {octets}))
                (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
            ;; Zeros are abstentions.
            (i32.store (i32.const 1028) (i32.const 16384))
            (i32.store (i32.const 1032) {candidates})
            (i32.const 1024)"
        ),
        ..Recipe::default()
    }
    .build()
}
