// conv2d_relu.fwd.direct_vec2: y[n,oh,ow,co] = max(bias[co] + sum over kh,ci,kw of x[n,ih,iw,ci] * weight[kh,kw,ci,co], 0)
//
// Idea versus direct: for channels in twos. A load brings two input channels of a pixel, or the weights of
// two output channels, and a workgroup has 16 output channels (shared/strip_subgroup_vec2.wgsl). The sum
// goes over kh, pairs of ci, kw, the two of a pair in this order. Needs stride and dilation 1 along the
// width, and c_in and c_out to be multiples of 2.
// As conv2d.fwd.direct_vec2, with the ReLU before the store.
// Writes: y =.
// Dispatch: ceil(n*h_out*ceil(w_out / 8) / 8) * ceil(c_out / 16) workgroups of 8; a lane owns 8 pixels x 16 channels.
// Shared memory: none. Barriers: none. Needs subgroups of at least 8 lanes.

struct Params {
    n: u32,
    c_in: u32,
    h_in: u32,
    w_in: u32,
    c_out: u32,
    h_out: u32,
    w_out: u32,
    k_h: u32,
    k_w: u32,
    stride_h: u32,
    stride_w: u32,
    pad_h: u32,
    pad_w: u32,
    dilation_h: u32,
    dilation_w: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec2<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

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

fn store(pixel: u32, inside: bool, channel: u32, value: f32) {
    if inside && channel < params.c_out {
        y[pixel * params.c_out + channel] = value;
    }
}

// Not max(): it may turn a NaN into 0, and divergence must be seen.
fn relu(v: vec4<f32>) -> vec4<f32> {
    return select(v, vec4<f32>(), v < vec4<f32>());
}

fn store_strip(pixel: u32, count: u32, channel: u32, lo_sums: vec4<f32>, hi_sums: vec4<f32>) {
    let lo = relu(lo_sums);
    let hi = relu(hi_sums);
    store(pixel, 0u < count, channel, lo.x);
    store(pixel + 1u, 1u < count, channel, lo.y);
    store(pixel + 2u, 2u < count, channel, lo.z);
    store(pixel + 3u, 3u < count, channel, lo.w);
    store(pixel + 4u, 4u < count, channel, hi.x);
    store(pixel + 5u, 5u < count, channel, hi.y);
    store(pixel + 6u, 6u < count, channel, hi.z);
    store(pixel + 7u, 7u < count, channel, hi.w);
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let strips_w = (params.w_out + STRIP - 1u) / STRIP;
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
    let ow = (strip - line * strips_w) * STRIP;
    let n = divide(line, params.h_out);
    let first_h = (line - n * params.h_out) * params.stride_h - params.pad_h;
    let first_w = ow - params.pad_w;
    let channel2 = min(first_channel / 2u + lane, params.c_out / 2u - 1u);
    var acc = Strip();
    for (var kh = 0u; kh < params.k_h; kh++) {
        let ih = first_h + kh * params.dilation_h;
        let inside_h = ih < params.h_in;
        let line_x = (n * params.h_in + ih) * params.w_in;
        for (var ci2 = 0u; ci2 < params.c_in / 2u; ci2++) {
            var strip_x = before(line_x, first_w, ci2, inside_h);
            var from_weight = (kh * params.k_w * params.c_in + 2u * ci2) * (params.c_out / 2u) + channel2;
            for (var kw = 0u; kw < params.k_w; kw++) {
                strip_x = slide(strip_x, pixel(line_x, first_w + kw + 7u, ci2, inside_h));
                outer(&acc, weight[from_weight], strip_x.lo0, strip_x.hi0);
                outer(&acc, weight[from_weight + params.c_out / 2u], strip_x.lo1, strip_x.hi1);
                from_weight += params.c_in * (params.c_out / 2u);
            }
        }
    }
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
    let pixel = line * params.w_out + ow;
    let count = select(0u, params.w_out - ow, first_strip + lane < strips);
    store_strip(pixel, count, first_channel, acc[0] + shift0, acc[1] + shift0);
    store_strip(pixel, count, first_channel + 1u, acc[2] + shift1, acc[3] + shift1);
    store_strip(pixel, count, first_channel + 2u, acc[4] + shift2, acc[5] + shift2);
    store_strip(pixel, count, first_channel + 3u, acc[6] + shift3, acc[7] + shift3);
    store_strip(pixel, count, first_channel + 4u, acc[8] + shift4, acc[9] + shift4);
    store_strip(pixel, count, first_channel + 5u, acc[10] + shift5, acc[11] + shift5);
    store_strip(pixel, count, first_channel + 6u, acc[12] + shift6, acc[13] + shift6);
    store_strip(pixel, count, first_channel + 7u, acc[14] + shift7, acc[15] + shift7);
    store_strip(pixel, count, first_channel + 8u, acc[16] + shift8, acc[17] + shift8);
    store_strip(pixel, count, first_channel + 9u, acc[18] + shift9, acc[19] + shift9);
    store_strip(pixel, count, first_channel + 10u, acc[20] + shift10, acc[21] + shift10);
    store_strip(pixel, count, first_channel + 11u, acc[22] + shift11, acc[23] + shift11);
    store_strip(pixel, count, first_channel + 12u, acc[24] + shift12, acc[25] + shift12);
    store_strip(pixel, count, first_channel + 13u, acc[26] + shift13, acc[27] + shift13);
    store_strip(pixel, count, first_channel + 14u, acc[28] + shift14, acc[29] + shift14);
    store_strip(pixel, count, first_channel + 15u, acc[30] + shift15, acc[31] + shift15);
}
