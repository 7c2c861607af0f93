// Philox4x32-10: four random words as a pure function of a counter and a key, the same words as
// `reference::philox`. A round is two 32x32->64 bit multiplications and a few XORs. WGSL has no
// 64-bit integers, so the upper half of a product is put together from 16-bit halves.
//
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

// The upper 32 bits of a * b. No sum below exceeds 32 bits: 0xffff * 0xffff + 2 * 0xffff = 2^32 - 1.
fn mul_hi(a: u32, b: u32) -> u32 {
    let a_lo = a & 0xffffu;
    let a_hi = a >> 16u;
    let b_lo = b & 0xffffu;
    let b_hi = b >> 16u;
    let middle = a_hi * b_lo + ((a_lo * b_lo) >> 16u);
    let carry = a_lo * b_hi + (middle & 0xffffu);
    return a_hi * b_hi + (middle >> 16u) + (carry >> 16u);
}

fn philox4x32(counter: vec4<u32>, key: vec2<u32>) -> vec4<u32> {
    var words = counter;
    var round_key = key;
    for (var round = 0u; round < 10u; round++) {
        words = vec4<u32>(
            mul_hi(0xcd9e8d57u, words.z) ^ words.y ^ round_key.x,
            0xcd9e8d57u * words.z,
            mul_hi(0xd2511f53u, words.x) ^ words.w ^ round_key.y,
            0xd2511f53u * words.x,
        );
        round_key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return words;
}
