// flatten.fwd.tiled: y[n, c, h, w] = x[n, h, w, c] as both lie in memory
//
// Idea versus naive: each image is the transpose of a matrix. A workgroup moves one tile of TILE by
// TILE through workgroup memory, so that the reads and the writes of neighbours are both neighbours.
// Writes: y =.
// Dispatch: n * ceil(h*w / TILE) * ceil(c / TILE) workgroups of TILE by TILE; an invocation reads one
// element and writes another.
// Shared memory: TILE * (TILE+1) words; the odd row length keeps a column's words in different banks.
// Barriers: one, between filling the tile and emptying it.

struct Params {
    n: u32,
    c: u32,
    // h*w
    plane: u32,
}

override TILE: u32 = 16;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

var<workgroup> tile: array<f32, TILE * (TILE + 1u)>;

@compute @workgroup_size(TILE, TILE)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_id) lane: vec3<u32>,
) {
    // x is n matrices of rows by columns.
    let rows = params.plane;
    let columns = params.c;
    let tiles_down = (rows + TILE - 1u) / TILE;
    let tiles_across = (columns + TILE - 1u) / TILE;
    let index = group_index(group, groups);
    if index >= params.n * tiles_down * tiles_across {
        return;
    }
    let down = index / tiles_across;
    let column = (index - down * tiles_across) * TILE;
    let n = down / tiles_down;
    let row = (down - n * tiles_down) * TILE;

    if row + lane.y < rows && column + lane.x < columns {
        tile[lane.y * (TILE + 1u) + lane.x] = x[(n * rows + row + lane.y) * columns + column + lane.x];
    }
    workgroupBarrier();
    if column + lane.y < columns && row + lane.x < rows {
        y[(n * columns + column + lane.y) * rows + row + lane.x] = tile[lane.x * (TILE + 1u) + lane.y];
    }
}
