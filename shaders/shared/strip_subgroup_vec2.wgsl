// Sixteen channels of a strip of eight neighbouring pixels in a lane, for convolutions whose channels come in twos.
//
// As strip_subgroup.wgsl, with two neighbouring channels to a load on either side: a lane loads its pixel's two input
// channels at once, and the weights of two output channels. 2048 multiply-adds to little more than three such loads.
//
// It runs on any adapter whose subgroups have at least 8 lanes; the lanes beyond 8 stay unused.

const LANES: u32 = 8;
// Pixels of a strip, channels of a workgroup.
const STRIP: u32 = 8;
const CHANNELS: u32 = 16;

// A lane's strip of eight pixels, for sixteen channels: channel c in [2c] (the first four pixels) and [2c + 1].
alias Strip = array<vec4<f32>, 32>;

// strip += w lo|hi for sixteen channels: lane l has the weights of channels 2l and 2l + 1.
fn outer(acc: ptr<function, Strip>, w: vec2<f32>, lo: vec4<f32>, hi: vec4<f32>) {
    let w0 = subgroupBroadcast(w.x, 0u);
    (*acc)[0] += w0 * lo;
    (*acc)[1] += w0 * hi;
    let w1 = subgroupBroadcast(w.y, 0u);
    (*acc)[2] += w1 * lo;
    (*acc)[3] += w1 * hi;
    let w2 = subgroupBroadcast(w.x, 1u);
    (*acc)[4] += w2 * lo;
    (*acc)[5] += w2 * hi;
    let w3 = subgroupBroadcast(w.y, 1u);
    (*acc)[6] += w3 * lo;
    (*acc)[7] += w3 * hi;
    let w4 = subgroupBroadcast(w.x, 2u);
    (*acc)[8] += w4 * lo;
    (*acc)[9] += w4 * hi;
    let w5 = subgroupBroadcast(w.y, 2u);
    (*acc)[10] += w5 * lo;
    (*acc)[11] += w5 * hi;
    let w6 = subgroupBroadcast(w.x, 3u);
    (*acc)[12] += w6 * lo;
    (*acc)[13] += w6 * hi;
    let w7 = subgroupBroadcast(w.y, 3u);
    (*acc)[14] += w7 * lo;
    (*acc)[15] += w7 * hi;
    let w8 = subgroupBroadcast(w.x, 4u);
    (*acc)[16] += w8 * lo;
    (*acc)[17] += w8 * hi;
    let w9 = subgroupBroadcast(w.y, 4u);
    (*acc)[18] += w9 * lo;
    (*acc)[19] += w9 * hi;
    let w10 = subgroupBroadcast(w.x, 5u);
    (*acc)[20] += w10 * lo;
    (*acc)[21] += w10 * hi;
    let w11 = subgroupBroadcast(w.y, 5u);
    (*acc)[22] += w11 * lo;
    (*acc)[23] += w11 * hi;
    let w12 = subgroupBroadcast(w.x, 6u);
    (*acc)[24] += w12 * lo;
    (*acc)[25] += w12 * hi;
    let w13 = subgroupBroadcast(w.y, 6u);
    (*acc)[26] += w13 * lo;
    (*acc)[27] += w13 * hi;
    let w14 = subgroupBroadcast(w.x, 7u);
    (*acc)[28] += w14 * lo;
    (*acc)[29] += w14 * hi;
    let w15 = subgroupBroadcast(w.y, 7u);
    (*acc)[30] += w15 * lo;
    (*acc)[31] += w15 * hi;
}

// Pixels of one line under a strip, of two input channels: four, and four more.
struct Pixels {
    lo0: vec4<f32>,
    hi0: vec4<f32>,
    lo1: vec4<f32>,
    hi1: vec4<f32>,
}

// The strip one pixel further on.
fn slide(strip: Pixels, next: vec2<f32>) -> Pixels {
    return Pixels(
        vec4(strip.lo0.yzw, strip.hi0.x),
        vec4(strip.hi0.yzw, next.x),
        vec4(strip.lo1.yzw, strip.hi1.x),
        vec4(strip.hi1.yzw, next.y),
    );
}
