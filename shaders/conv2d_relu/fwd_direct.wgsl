// conv2d_relu.fwd.direct: y[n,oh,ow,co] = max(bias[co] + sum over kh,ci,kw of x[n,ih,iw,ci] * weight[kh,kw,ci,co], 0)
//
// Idea versus subgroup: for few channels, where a tile of the matrix product stays mostly empty, a
// lane computes a strip of eight neighbouring pixels, over which the kernel slides
// (shared/strip_subgroup.wgsl). The sum goes over kh, ci, kw in this order: with one input channel
// that is the order of the other kernels. Needs stride and dilation 1 along the width.
// As conv2d.fwd.direct, with the ReLU before the store.
// Writes: y =.
// Dispatch: ceil(n*h_out*ceil(w_out / 8) / 8) * ceil(c_out / 8) workgroups of 8; a lane owns 8 pixels x 8 channels.
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
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

// Pixel iw of a line of x; outside of the image wraps to a huge number.
fn pixel(line: u32, iw: u32, ci: u32, inside_h: bool) -> f32 {
    let inside = inside_h & (iw < params.w_in);
    return select(0.0, x[select(0u, (line + iw) * params.c_in + ci, inside)], inside);
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
    let channel = min(first_channel + lane, params.c_out - 1u);
    var acc = Strip();
    for (var kh = 0u; kh < params.k_h; kh++) {
        let ih = first_h + kh * params.dilation_h;
        let inside_h = ih < params.h_in;
        let line_x = (n * params.h_in + ih) * params.w_in;
        for (var ci = 0u; ci < params.c_in; ci++) {
            // The strip under kernel element kw - 1; its first pixel is not there yet.
            var lo = vec4(
                0.0,
                pixel(line_x, first_w, ci, inside_h),
                pixel(line_x, first_w + 1u, ci, inside_h),
                pixel(line_x, first_w + 2u, ci, inside_h),
            );
            var hi = vec4(
                pixel(line_x, first_w + 3u, ci, inside_h),
                pixel(line_x, first_w + 4u, ci, inside_h),
                pixel(line_x, first_w + 5u, ci, inside_h),
                pixel(line_x, first_w + 6u, ci, inside_h),
            );
            var from_weight = (kh * params.k_w * params.c_in + ci) * params.c_out + channel;
            for (var kw = 0u; kw < params.k_w; kw++) {
                lo = vec4(lo.yzw, hi.x);
                hi = vec4(hi.yzw, pixel(line_x, first_w + kw + 7u, ci, inside_h));
                outer(&acc, weight[from_weight], lo, hi);
                from_weight += params.c_in * params.c_out;
            }
        }
    }
    let shift = bias[channel];
    let shift0 = subgroupBroadcast(shift, 0u);
    let shift1 = subgroupBroadcast(shift, 1u);
    let shift2 = subgroupBroadcast(shift, 2u);
    let shift3 = subgroupBroadcast(shift, 3u);
    let shift4 = subgroupBroadcast(shift, 4u);
    let shift5 = subgroupBroadcast(shift, 5u);
    let shift6 = subgroupBroadcast(shift, 6u);
    let shift7 = subgroupBroadcast(shift, 7u);
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
}
