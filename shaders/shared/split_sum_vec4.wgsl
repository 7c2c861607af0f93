// The gradient of four neighbouring elements where some parts of it are still cut into splits. A segment is
// `[start, len, splits, offset]`: the gradient of element start + k is the sum over s of partials[offset + s*len + k], from 0,
// in the order of s. Elsewhere it is in `grad`. Segments come in order and do not overlap, and start at multiples of 4, so that
// no four elements touch two of them.

fn partial(i: u32) -> f32 {
    return partials[i / 4u][i % 4u];
}

fn gradient4(i: u32) -> vec4<f32> {
    let first = 4u * i;
    // Most parameters are those of dense layers, behind all segments.
    if first >= params.segments_end {
        return grad[i];
    }
    for (var number = 0u; number < params.segment_count; number++) {
        let segment = params.segments[number];
        // Before the segment it wraps to a huge number.
        let k = first - segment.x;
        if k >= segment.y {
            continue;
        }
        var sum = vec4<f32>();
        if (segment.y | segment.w) % 4u == 0u {
            for (var split = 0u; split < segment.z; split++) {
                sum += partials[(segment.w + split * segment.y + k) / 4u];
            }
            return sum;
        }
        // Elements past the end of the segment load the last of it, and take what is in `grad`.
        let element = vec4(k) + vec4(0u, 1u, 2u, 3u);
        let inside = min(element, vec4(segment.y - 1u));
        for (var split = 0u; split < segment.z; split++) {
            let at = segment.w + split * segment.y + inside;
            sum += vec4(partial(at.x), partial(at.y), partial(at.z), partial(at.w));
        }
        return select(grad[i], sum, element < vec4(segment.y));
    }
    return grad[i];
}
