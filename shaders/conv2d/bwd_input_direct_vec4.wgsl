// conv2d.bwd_input.direct_vec4: dx[n,ih,iw,ci] = sum over kh,co,kw of dy[n,oh,ow,co] * weight[kh,kw,ci,co]
//
// Idea versus direct: both dy and the weights come as vec4s, four output channels to a load, so that
// four strips slide at once. The sum goes over kh, four co at a time, kw, these four. Needs c_out to be a
// multiple of 4, besides stride 1, and dilation 1 along the width.
// Writes: dx =.
// Dispatch: ceil(n*h_in*ceil(w_in / 8) / 8) * ceil(c_in / 8) workgroups of 8; a lane owns 8 pixels x 8 channels.
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
    splits: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

// Four channels of pixel ow of a line of dy; outside of the image wraps to a huge number.
fn pixel(line: u32, ow: u32, co4: u32, inside_h: bool) -> vec4<f32> {
    let inside = inside_h & (ow < params.w_out);
    return select(vec4<f32>(), dy[select(0u, (line + ow) * (params.c_out / 4u) + co4, inside)], inside);
}

fn store(pixel: u32, inside: bool, channel: u32, value: f32) {
    if inside && channel < params.c_in {
        dx[pixel * params.c_in + channel] = value;
    }
}

fn store_strip(pixel: u32, count: u32, channel: u32, lo: vec4<f32>, hi: vec4<f32>) {
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
    let strips_w = (params.w_in + STRIP - 1u) / STRIP;
    let strips = params.n * params.h_in * strips_w;
    let blocks = (params.c_in + CHANNELS - 1u) / CHANNELS;
    let tile = group_index(group, groups);
    let first_strip = tile / blocks * LANES;
    let first_channel = tile % blocks * CHANNELS;
    if first_strip >= strips {
        return;
    }
    // A strip past the end is computed as the last one and not stored.
    let strip = min(first_strip + lane, strips - 1u);
    let line = divide(strip, strips_w);
    let iw = (strip - line * strips_w) * STRIP;
    let n = divide(line, params.h_in);
    let last_h = line - n * params.h_in + params.pad_h;
    let last_w = iw + params.pad_w;
    let channel = min(first_channel + lane, params.c_in - 1u);
    let c_out4 = params.c_out / 4u;
    var acc = Strip();
    for (var kh = 0u; kh < params.k_h; kh++) {
        let oh = last_h - kh * params.dilation_h;
        let inside_h = oh < params.h_out;
        let line_dy = (n * params.h_out + oh) * params.w_out;
        for (var co4 = 0u; co4 < c_out4; co4++) {
            // The strip under kernel element kw - 1; its last pixel is not there yet.
            var p0 = pixel(line_dy, last_w + 1u, co4, inside_h);
            var p1 = pixel(line_dy, last_w + 2u, co4, inside_h);
            var p2 = pixel(line_dy, last_w + 3u, co4, inside_h);
            var p3 = pixel(line_dy, last_w + 4u, co4, inside_h);
            var p4 = pixel(line_dy, last_w + 5u, co4, inside_h);
            var p5 = pixel(line_dy, last_w + 6u, co4, inside_h);
            var p6 = pixel(line_dy, last_w + 7u, co4, inside_h);
            var p7 = vec4<f32>();
            var from_weight = (kh * params.k_w * params.c_in + channel) * c_out4 + co4;
            for (var kw = 0u; kw < params.k_w; kw++) {
                p7 = p6;
                p6 = p5;
                p5 = p4;
                p4 = p3;
                p3 = p2;
                p2 = p1;
                p1 = p0;
                p0 = pixel(line_dy, last_w - kw, co4, inside_h);
                let w = weight[from_weight];
                outer(&acc, w.x, vec4(p0.x, p1.x, p2.x, p3.x), vec4(p4.x, p5.x, p6.x, p7.x));
                outer(&acc, w.y, vec4(p0.y, p1.y, p2.y, p3.y), vec4(p4.y, p5.y, p6.y, p7.y));
                outer(&acc, w.z, vec4(p0.z, p1.z, p2.z, p3.z), vec4(p4.z, p5.z, p6.z, p7.z));
                outer(&acc, w.w, vec4(p0.w, p1.w, p2.w, p3.w), vec4(p4.w, p5.w, p6.w, p7.w));
                from_weight += params.c_in * c_out4;
            }
        }
    }
    let pixel = line * params.w_in + iw;
    let count = select(0u, params.w_in - iw, first_strip + lane < strips);
    store_strip(pixel, count, first_channel, acc[0], acc[1]);
    store_strip(pixel, count, first_channel + 1u, acc[2], acc[3]);
    store_strip(pixel, count, first_channel + 2u, acc[4], acc[5]);
    store_strip(pixel, count, first_channel + 3u, acc[6], acc[7]);
    store_strip(pixel, count, first_channel + 4u, acc[8], acc[9]);
    store_strip(pixel, count, first_channel + 5u, acc[10], acc[11]);
    store_strip(pixel, count, first_channel + 6u, acc[12], acc[13]);
    store_strip(pixel, count, first_channel + 7u, acc[14], acc[15]);
}
