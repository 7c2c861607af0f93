// conv2d_relu_max_pool2d.fwd.direct: y = max over the window of max(bias[co] + sum over kh,ci,kw of x[n,ih,iw,ci] * weight[kh,kw,ci,co], 0),
// argmax = its place mh*w_mid + mw in the plane of the sums
//
// Idea versus subgroup_vec4: for few channels, as conv2d.fwd.direct (shared/strip_subgroup.wgsl). A lane computes two
// strips of eight pixels, one below the other, which are the four windows that it pools. The sum goes over kh, ci, kw
// in this order. Needs windows of 2 x 2, next to each other and without padding, stride and dilation 1 along the width.
// Writes: y =, argmax =.
// Dispatch: ceil(n*h_out*ceil(w_out / 4) / 8) * ceil(c_out / 8) workgroups of 8; a lane owns 4 windows x 8 channels.
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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
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

// Pixel iw of a line of x; outside of the image wraps to a huge number.
fn pixel(line: u32, iw: u32, ci: u32, inside_h: bool) -> f32 {
    let inside = inside_h & (iw < params.w_in);
    return select(0.0, x[select(0u, (line + iw) * params.c_in + ci, inside)], inside);
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

// The strip of a line of x under kernel element -1: its first pixel is not there yet.
fn before(line: u32, first_w: u32, ci: u32, inside_h: bool) -> array<vec4<f32>, 2> {
    return array(
        vec4(
            0.0,
            pixel(line, first_w, ci, inside_h),
            pixel(line, first_w + 1u, ci, inside_h),
            pixel(line, first_w + 2u, ci, inside_h),
        ),
        vec4(
            pixel(line, first_w + 3u, ci, inside_h),
            pixel(line, first_w + 4u, ci, inside_h),
            pixel(line, first_w + 5u, ci, inside_h),
            pixel(line, first_w + 6u, ci, inside_h),
        ),
    );
}

// The strip one pixel further on.
fn slide(strip: array<vec4<f32>, 2>, next: f32) -> array<vec4<f32>, 2> {
    return array(vec4(strip[0].yzw, strip[1].x), vec4(strip[1].yzw, next));
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
    let channel = min(first_channel + lane, params.c_out - 1u);
    var upper = Strip();
    var lower = Strip();
    for (var kh = 0u; kh < params.k_h; kh++) {
        let ih = first_h + kh * params.dilation_h + vec2(0u, params.stride_h);
        let inside_h = ih < vec2(params.h_in);
        let line_x = (n * params.h_in + ih) * params.w_in;
        for (var ci = 0u; ci < params.c_in; ci++) {
            var above = before(line_x.x, first_w, ci, inside_h.x);
            var below = before(line_x.y, first_w, ci, inside_h.y);
            var from_weight = (kh * params.k_w * params.c_in + ci) * params.c_out + channel;
            for (var kw = 0u; kw < params.k_w; kw++) {
                above = slide(above, pixel(line_x.x, first_w + kw + 7u, ci, inside_h.x));
                below = slide(below, pixel(line_x.y, first_w + kw + 7u, ci, inside_h.y));
                let w = weight[from_weight];
                outer(&upper, w, above[0], above[1]);
                outer(&lower, w, below[0], below[1]);
                from_weight += params.c_in * params.c_out;
            }
        }
    }
    let window = line * params.w_out + ow;
    let count = select(0u, params.w_out - ow, first_strip + lane < strips);
    let first = 2u * oh * params.w_mid + 2u * ow + vec4(0u, 2u, 4u, 6u);
    let shift = bias[channel];
    let shift0 = subgroupBroadcast(shift, 0u);
    let shift1 = subgroupBroadcast(shift, 1u);
    let shift2 = subgroupBroadcast(shift, 2u);
    let shift3 = subgroupBroadcast(shift, 3u);
    let shift4 = subgroupBroadcast(shift, 4u);
    let shift5 = subgroupBroadcast(shift, 5u);
    let shift6 = subgroupBroadcast(shift, 6u);
    let shift7 = subgroupBroadcast(shift, 7u);
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
}
