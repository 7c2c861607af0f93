// Eight channels of a strip of eight neighbouring pixels in a lane, for convolutions with few channels
// on software adapters.
//
// A tile of the matrix product (gemm_subgroup.wgsl) is mostly empty if there are only a few channels.
// Here the lanes take different pixels, and the channels are what travels between them: for each
// kernel element lane c loads the weight of channel c, which the others get by subgroupBroadcast.
// Along a line of the kernel the strip slides by one pixel, so it takes one new pixel, not eight: 512
// multiply-adds to little more than two loads.
//
// It runs on any adapter whose subgroups have at least 8 lanes; the lanes beyond 8 stay unused.

const LANES: u32 = 8;
// Pixels of a strip, channels of a workgroup.
const STRIP: u32 = 8;
const CHANNELS: u32 = 8;

// A lane's strip of eight pixels, for eight channels: channel c in [2c] (the first four pixels) and [2c + 1].
alias Strip = array<vec4<f32>, 16>;

// strip += w lo|hi for eight channels: lane c has the weight of channel c.
fn outer(acc: ptr<function, Strip>, w: f32, lo: vec4<f32>, hi: vec4<f32>) {
    let w0 = subgroupBroadcast(w, 0u);
    (*acc)[0] += w0 * lo;
    (*acc)[1] += w0 * hi;
    let w1 = subgroupBroadcast(w, 1u);
    (*acc)[2] += w1 * lo;
    (*acc)[3] += w1 * hi;
    let w2 = subgroupBroadcast(w, 2u);
    (*acc)[4] += w2 * lo;
    (*acc)[5] += w2 * hi;
    let w3 = subgroupBroadcast(w, 3u);
    (*acc)[6] += w3 * lo;
    (*acc)[7] += w3 * hi;
    let w4 = subgroupBroadcast(w, 4u);
    (*acc)[8] += w4 * lo;
    (*acc)[9] += w4 * hi;
    let w5 = subgroupBroadcast(w, 5u);
    (*acc)[10] += w5 * lo;
    (*acc)[11] += w5 * hi;
    let w6 = subgroupBroadcast(w, 6u);
    (*acc)[12] += w6 * lo;
    (*acc)[13] += w6 * hi;
    let w7 = subgroupBroadcast(w, 7u);
    (*acc)[14] += w7 * lo;
    (*acc)[15] += w7 * hi;
}
