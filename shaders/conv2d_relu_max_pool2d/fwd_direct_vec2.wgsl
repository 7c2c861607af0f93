// conv2d_relu_max_pool2d.fwd.direct_vec2: y = max over the window of max(bias[co] + sum over kh,ci,kw of x[n,ih,iw,ci] * weight[kh,kw,ci,co], 0),
// argmax = its place mh*w_mid + mw in the plane of the sums
//
// Idea versus direct: for channels in twos, as conv2d.fwd.direct_vec2 (shared/strip_subgroup_vec2.wgsl). A lane computes
// two strips of eight pixels, one below the other, which are the four windows that it pools. The sum goes over kh, pairs
// of ci, kw, the two of a pair in this order. Needs windows of 2 x 2, next to each other and without padding, stride and
// dilation 1 along the width, and c_in and c_out to be multiples of 2.
// Writes: y =, argmax =.
// Dispatch: ceil(n*h_out*ceil(w_out / 4) / 8) * ceil(c_out / 16) workgroups of 8; a lane owns 4 windows x 16 channels.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    // What the convolution gives and the pooling takes.
    h_mid: u32,
    w_mid: u32,
    h_out: u32,
    w_out: u32,
    // Of the convolution.
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
    // Of the pooling.
    pool_k_h: u32,
    pool_k_w: u32,
    pool_stride_h: u32,
    pool_stride_w: u32,
    pool_pad_h: u32,
    pool_pad_w: u32,
    pool_dilation_h: u32,
    pool_dilation_w: u32,
    // Parts of the sums over what the convolution gives.
    splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> argmax: array<u32>;

// By its bits: a compiler may take `v != v` for false.
fn is_nan(v: vec4<f32>) -> vec4<bool> {
    return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u);
}

// Not max(): it may drop a NaN. What the convolution would store: sums that are equal then must be so here.
fn relu(sum: vec4<f32>) -> vec4<f32> {
    let v = stored4(sum);
    return select(v, vec4<f32>(), v < vec4<f32>());
}

struct Best {
    value: vec4<f32>,
    at: vec4<u32>,
}

// Strictly above, so that the first of equals stays; a NaN beats every number.
fn better(best: Best, v: vec4<f32>, at: vec4<u32>) -> Best {
    let take = (v > best.value) | is_nan(v);
    return Best(select(best.value, v, take), select(best.at, at, take));
}

// The maxima of four neighbouring windows, of which the first sums stand at `first`.
fn pool(first: vec4<u32>, s0: vec4<f32>, s1: vec4<f32>, s2: vec4<f32>, s3: vec4<f32>) -> Best {
    let left = better(Best(relu(s0), first), relu(s1), first + 1u);
    return better(better(left, relu(s2), first + params.w_mid), relu(s3), first + params.w_mid + 1u);
}

// Two channels of pixel iw of a line of x; outside of the image wraps to a huge number.
fn pixel(line: u32, iw: u32, ci2: u32, inside_h: bool) -> vec2<f32> {
    let inside = inside_h & (iw < params.w_in);
    return select(vec2<f32>(), x[select(0u, (line + iw) * (params.c_in / 2u) + ci2, inside)], inside);
}

// The strip of a line of x under kernel element -1: its first pixel is not there yet.
fn before(line: u32, first_w: u32, ci2: u32, inside_h: bool) -> Pixels {
    let p0 = pixel(line, first_w, ci2, inside_h);
    let p1 = pixel(line, first_w + 1u, ci2, inside_h);
    let p2 = pixel(line, first_w + 2u, ci2, inside_h);
    let p3 = pixel(line, first_w + 3u, ci2, inside_h);
    let p4 = pixel(line, first_w + 4u, ci2, inside_h);
    let p5 = pixel(line, first_w + 5u, ci2, inside_h);
    let p6 = pixel(line, first_w + 6u, ci2, inside_h);
    return Pixels(
        vec4(0.0, p0.x, p1.x, p2.x),
        vec4(p3.x, p4.x, p5.x, p6.x),
        vec4(0.0, p0.y, p1.y, p2.y),
        vec4(p3.y, p4.y, p5.y, p6.y),
    );
}

fn store(window: u32, inside: bool, channel: u32, value: f32, at: u32) {
    if inside && channel < params.c_out {
        y[window * params.c_out + channel] = value;
        argmax[window * params.c_out + channel] = at;
    }
}

// One channel of four windows: the sums of their upper and of their lower line.
fn store_4(window: u32, count: u32, first: vec4<u32>, channel: u32, upper: array<vec4<f32>, 2>, lower: array<vec4<f32>, 2>) {
    let s0 = vec4(upper[0].xz, upper[1].xz);
    let s1 = vec4(upper[0].yw, upper[1].yw);
    let s2 = vec4(lower[0].xz, lower[1].xz);
    let s3 = vec4(lower[0].yw, lower[1].yw);
    let best = pool(first, s0, s1, s2, s3);
    store(window, 0u < count, channel, best.value.x, best.at.x);
    store(window + 1u, 1u < count, channel, best.value.y, best.at.y);
    store(window + 2u, 2u < count, channel, best.value.z, best.at.z);
    store(window + 3u, 3u < count, channel, best.value.w, best.at.w);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let strips_w = (params.w_out + STRIP / 2u - 1u) / (STRIP / 2u);
    let strips = params.n * params.h_out * strips_w;
    let blocks = (params.c_out + CHANNELS - 1u) / CHANNELS;
    let tile = group_index(group, groups);
    let first_strip = tile / blocks * LANES;
    let first_channel = tile % blocks * CHANNELS;
    if first_strip >= strips {
        return;
    }
    // A strip past the end is computed as the last one and not stored.
    let strip = min(first_strip + lane, strips - 1u);
    let line = divide(strip, strips_w);
    let ow = (strip - line * strips_w) * (STRIP / 2u);
    let n = divide(line, params.h_out);
    let oh = line - n * params.h_out;
    let first_h = 2u * oh * params.stride_h - params.pad_h;
    let first_w = 2u * ow - params.pad_w;
    let channel2 = min(first_channel / 2u + lane, params.c_out / 2u - 1u);
    var upper = Strip();
    var lower = Strip();
    for (var kh = 0u; kh < params.k_h; kh++) {
        let ih = first_h + kh * params.dilation_h + vec2(0u, params.stride_h);
        let inside_h = ih < vec2(params.h_in);
        let line_x = (n * params.h_in + ih) * params.w_in;
        for (var ci2 = 0u; ci2 < params.c_in / 2u; ci2++) {
            var above = before(line_x.x, first_w, ci2, inside_h.x);
            var below = before(line_x.y, first_w, ci2, inside_h.y);
            var from_weight = (kh * params.k_w * params.c_in + 2u * ci2) * (params.c_out / 2u) + channel2;
            for (var kw = 0u; kw < params.k_w; kw++) {
                above = slide(above, pixel(line_x.x, first_w + kw + 7u, ci2, inside_h.x));
                below = slide(below, pixel(line_x.y, first_w + kw + 7u, ci2, inside_h.y));
                let w0 = weight[from_weight];
                let w1 = weight[from_weight + params.c_out / 2u];
                outer(&upper, w0, above.lo0, above.hi0);
                outer(&lower, w0, below.lo0, below.hi0);
                outer(&upper, w1, above.lo1, above.hi1);
                outer(&lower, w1, below.lo1, below.hi1);
                from_weight += params.c_in * (params.c_out / 2u);
            }
        }
    }
    let window = line * params.w_out + ow;
    let count = select(0u, params.w_out - ow, first_strip + lane < strips);
    let first = 2u * oh * params.w_mid + 2u * ow + vec4(0u, 2u, 4u, 6u);
    let shift = bias[channel2];
    let shift0 = subgroupBroadcast(shift.x, 0u);
    let shift1 = subgroupBroadcast(shift.y, 0u);
    let shift2 = subgroupBroadcast(shift.x, 1u);
    let shift3 = subgroupBroadcast(shift.y, 1u);
    let shift4 = subgroupBroadcast(shift.x, 2u);
    let shift5 = subgroupBroadcast(shift.y, 2u);
    let shift6 = subgroupBroadcast(shift.x, 3u);
    let shift7 = subgroupBroadcast(shift.y, 3u);
    let shift8 = subgroupBroadcast(shift.x, 4u);
    let shift9 = subgroupBroadcast(shift.y, 4u);
    let shift10 = subgroupBroadcast(shift.x, 5u);
    let shift11 = subgroupBroadcast(shift.y, 5u);
    let shift12 = subgroupBroadcast(shift.x, 6u);
    let shift13 = subgroupBroadcast(shift.y, 6u);
    let shift14 = subgroupBroadcast(shift.x, 7u);
    let shift15 = subgroupBroadcast(shift.y, 7u);
    let upper0 = array(upper[0] + shift0, upper[1] + shift0);
    let lower0 = array(lower[0] + shift0, lower[1] + shift0);
    store_4(window, count, first, first_channel, upper0, lower0);
    let upper1 = array(upper[2] + shift1, upper[3] + shift1);
    let lower1 = array(lower[2] + shift1, lower[3] + shift1);
    store_4(window, count, first, first_channel + 1u, upper1, lower1);
    let upper2 = array(upper[4] + shift2, upper[5] + shift2);
    let lower2 = array(lower[4] + shift2, lower[5] + shift2);
    store_4(window, count, first, first_channel + 2u, upper2, lower2);
    let upper3 = array(upper[6] + shift3, upper[7] + shift3);
    let lower3 = array(lower[6] + shift3, lower[7] + shift3);
    store_4(window, count, first, first_channel + 3u, upper3, lower3);
    let upper4 = array(upper[8] + shift4, upper[9] + shift4);
    let lower4 = array(lower[8] + shift4, lower[9] + shift4);
    store_4(window, count, first, first_channel + 4u, upper4, lower4);
    let upper5 = array(upper[10] + shift5, upper[11] + shift5);
    let lower5 = array(lower[10] + shift5, lower[11] + shift5);
    store_4(window, count, first, first_channel + 5u, upper5, lower5);
    let upper6 = array(upper[12] + shift6, upper[13] + shift6);
    let lower6 = array(lower[12] + shift6, lower[13] + shift6);
    store_4(window, count, first, first_channel + 6u, upper6, lower6);
    let upper7 = array(upper[14] + shift7, upper[15] + shift7);
    let lower7 = array(lower[14] + shift7, lower[15] + shift7);
    store_4(window, count, first, first_channel + 7u, upper7, lower7);
    let upper8 = array(upper[16] + shift8, upper[17] + shift8);
    let lower8 = array(lower[16] + shift8, lower[17] + shift8);
    store_4(window, count, first, first_channel + 8u, upper8, lower8);
    let upper9 = array(upper[18] + shift9, upper[19] + shift9);
    let lower9 = array(lower[18] + shift9, lower[19] + shift9);
    store_4(window, count, first, first_channel + 9u, upper9, lower9);
    let upper10 = array(upper[20] + shift10, upper[21] + shift10);
    let lower10 = array(lower[20] + shift10, lower[21] + shift10);
    store_4(window, count, first, first_channel + 10u, upper10, lower10);
    let upper11 = array(upper[22] + shift11, upper[23] + shift11);
    let lower11 = array(lower[22] + shift11, lower[23] + shift11);
    store_4(window, count, first, first_channel + 11u, upper11, lower11);
    let upper12 = array(upper[24] + shift12, upper[25] + shift12);
    let lower12 = array(lower[24] + shift12, lower[25] + shift12);
    store_4(window, count, first, first_channel + 12u, upper12, lower12);
    let upper13 = array(upper[26] + shift13, upper[27] + shift13);
    let lower13 = array(lower[26] + shift13, lower[27] + shift13);
    store_4(window, count, first, first_channel + 13u, upper13, lower13);
    let upper14 = array(upper[28] + shift14, upper[29] + shift14);
    let lower14 = array(lower[28] + shift14, lower[29] + shift14);
    store_4(window, count, first, first_channel + 14u, upper14, lower14);
    let upper15 = array(upper[30] + shift15, upper[31] + shift15);
    let lower15 = array(lower[30] + shift15, lower[31] + shift15);
    store_4(window, count, first, first_channel + 15u, upper15, lower15);
}
