// Where a workgroup stands in a grid that was folded over x and y because one dimension holds at
// most 65,535 workgroups. The fold may leave some workgroups past the end: check and return.

fn group_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
    return group.y * groups.x + group.x;
}
