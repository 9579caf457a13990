"""
Draw a scene with OpenGL, off screen: a colour picture, and which person and which head each pixel shows.

Runs on any EGL, Mesa's llvmpipe included. Axes: x to the right, y up; the camera looks along its own -z.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import moderngl
import numpy as np
import numpy.typing as npt

from .asset_readers import Floats
from .shapes import SLOTS, Mesh

_VERTEX = """
#version 330
uniform mat4 view; uniform mat4 model; uniform mat4 light;
uniform vec4 tex[SLOTS];
in vec3 position; in vec3 normal; in vec2 uv; in float slot;
out vec3 where; out vec3 facing; out vec3 spot; out vec2 coordinate; flat out int kind;
void main() {
    vec4 world = model * vec4(position, 1.0);
    kind = int(slot + 0.5);
    where = world.xyz;
    facing = mat3(model) * normal;
    spot = (light * world).xyz * 0.5 + 0.5;
    coordinate = uv * tex[kind].y;
    gl_Position = view * world;
}
"""

_FRAGMENT = """
#version 330
uniform vec4 colours[SLOTS]; uniform vec4 tex[SLOTS]; uniform vec3 person;
uniform sampler2DArray layers; uniform sampler2DShadow shadow;
uniform vec3 eye; uniform vec3 sun; uniform vec3 sun_colour; uniform vec3 sky; uniform vec3 ground;
uniform vec3 lamp; uniform vec3 lamp_colour; uniform float exposure;
in vec3 where; in vec3 facing; in vec3 spot; in vec2 coordinate; flat in int kind;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 identity;
void main() {
    vec4 texel = texture(layers, vec3(coordinate, tex[kind].x));
    if (texel.a < 0.4) discard;
    vec3 albedo = colours[kind].rgb * texel.rgb * texel.rgb;
    vec3 towards = eye - where;
    vec3 n = normalize(facing);
    if (dot(n, towards) < 0.0) n = -n;
    float lit = 0.0;
    float facing_sun = max(dot(n, sun), 0.0);
    if (facing_sun > 0.0) {
        vec3 s = spot; s.z -= 0.004;
        vec2 step = vec2(1.2 / 640.0, 0.0);
        lit = 0.25 * (texture(shadow, s + step.xyy) + texture(shadow, s - step.xyy)
            + texture(shadow, s + step.yxy) + texture(shadow, s - step.yxy));
    }
    vec3 ray = lamp - where; float far = dot(ray, ray);
    vec3 shine = mix(ground, sky, 0.5 + 0.5 * n.y) + sun_colour * facing_sun * lit
        + lamp_colour * max(dot(n, ray) * inversesqrt(far), 0.0) / (0.6 + far);
    vec3 h = normalize(normalize(towards) + sun);
    shine *= albedo;
    shine += sun_colour * lit * tex[kind].z * pow(max(dot(n, h), 0.0), tex[kind].w) + albedo * colours[kind].a;
    colour = vec4(sqrt(1.0 - exp(-shine * exposure)), 1.0);
    identity = vec4(person.x, (kind >= 1 && kind <= 3) ? person.y : 0.0, person.z, 1.0);
}
"""

_SHADOW_VERTEX = """
#version 330
uniform mat4 light; uniform mat4 model;
in vec3 position;
void main() { gl_Position = light * model * vec4(position, 1.0); }
"""

_SHADOW_FRAGMENT = """
#version 330
void main() {}
"""

_SKY_VERTEX = """
#version 330
uniform mat4 back;
in vec2 corner; out vec3 way;
void main() {
    vec4 far = back * vec4(corner, 1.0, 1.0);
    way = far.xyz / far.w;
    gl_Position = vec4(corner, 0.9999, 1.0);
}
"""

_SKY_FRAGMENT = """
#version 330
uniform sampler2D panorama; uniform vec3 eye; uniform float exposure; uniform vec2 turn;
in vec3 way;
layout(location = 0) out vec4 colour; layout(location = 1) out vec4 identity;
void main() {
    vec3 d = normalize(way - eye);
    vec2 at = vec2(atan(d.z, d.x) / 6.2831853 + turn.x, acos(clamp(d.y, -1.0, 1.0)) / 3.1415927);
    vec3 c = texture(panorama, at).rgb;
    colour = vec4(sqrt(1.0 - exp(-c * c * turn.y * exposure)), 1.0);
    identity = vec4(0.0);
}
"""


_NEAR, _FAR = 0.1, 60.0
"""What is nearer or farther is not drawn, metres."""
_HOLLOWS = (0.04, 0.09, 0.2)
"""Metres across that hollows are looked for."""
_RAYS = ((1, 0), (0, 1), (0.7, 0.7), (0.7, -0.7))
"""Ways, across and down, in which they are looked for."""


@dataclass
class Draw:
    """
    One mesh in one place.

    Attributes:
        mesh: Number that `Renderer.upload` gave.
        matrix: (4, 4) model to world.
        colours: (SLOTS, 4) linear red, green, blue, and how much of it glows by itself.
        textures: (SLOTS, 4) layer of the texture array, repeats a metre, gloss and how sharp the gloss is.
        person: 1 to 255, or 0 for a thing.
        shadow: Whether it casts one.
    """

    mesh: int
    matrix: npt.NDArray[np.float64]
    colours: Floats
    textures: Floats
    person: int = 0
    shadow: bool = True


@dataclass
class Light:
    """
    Light, linear: from the sun or a ceiling with shadows, from all around, and from one lamp without shadows.

    Attributes:
        hollow: How much less light there is in hollows: under chins, between arm and trunk, where things stand.
    """

    sun: Floats
    sun_colour: Floats
    sky: Floats
    ground: Floats
    lamp: Floats
    lamp_colour: Floats
    exposure: float
    panorama: int
    panorama_turn: float
    panorama_gain: float
    hollow: float


@dataclass
class Pinhole:
    """
    A camera without lens faults.

    Attributes:
        eye: Metres.
        turn: (3, 3) world to camera.
        focal: Px of the rendered picture.
        width, height: Px of the rendered picture.
    """

    eye: Floats
    turn: npt.NDArray[np.float64]
    focal: float
    width: int
    height: int

    def project(self, points: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Return (n, 3): x and y in px from the picture's middle, y down, and the depth in metres."""
        local = (points - self.eye) @ self.turn.T
        depth = np.maximum(-local[:, 2], 1e-3)
        return np.stack((local[:, 0] / depth * self.focal, -local[:, 1] / depth * self.focal, -local[:, 2]), axis=1)

    def matrix(self) -> npt.NDArray[np.float64]:
        """Return (4, 4) world to clip."""
        view = np.eye(4)
        view[:3, :3], view[:3, 3] = self.turn, -self.turn @ self.eye
        lens = np.zeros((4, 4))
        lens[0, 0], lens[1, 1] = 2 * self.focal / self.width, 2 * self.focal / self.height
        lens[2, 2], lens[2, 3], lens[3, 2] = (_FAR + _NEAR) / (_NEAR - _FAR), 2 * _FAR * _NEAR / (_NEAR - _FAR), -1
        return lens @ view


@dataclass
class _Uploaded:
    drawn: moderngl.VertexArray
    shade: moderngl.VertexArray
    parts: list[moderngl.Buffer] = field(default_factory=list)


class Renderer:
    """
    One OpenGL context with the textures on it.

    Args:
        layers: (n, 128, 128, 4) uint8 RGBA, the texture array.
        panoramas: (n, h, w, 3) uint8 RGB, what is seen where nothing stands.
        width, height: Largest picture, px.
    """

    def __init__(
        self, layers: npt.NDArray[np.uint8], panoramas: list[npt.NDArray[np.uint8]], width: int, height: int
    ) -> None:
        self._gl = moderngl.create_context(standalone=True, backend="egl", require=330)
        self._program = self._compile(_VERTEX, _FRAGMENT)
        self._shader = self._compile(_SHADOW_VERTEX, _SHADOW_FRAGMENT)
        self._sky = self._compile(_SKY_VERTEX, _SKY_FRAGMENT)
        count, side = layers.shape[:2]
        self._layers = self._gl.texture_array((side, side, count), 4, layers.tobytes())
        self._layers.build_mipmaps()
        self._layers.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        self._panoramas = [self._gl.texture(p.shape[1::-1], 3, p.tobytes()) for p in panoramas]
        self._depth = self._gl.depth_texture((640, 640))
        self._depth.compare_func = "<="
        self._shade = self._gl.framebuffer(depth_attachment=self._depth)
        self._size = (width, height)
        self._frame = self._gl.framebuffer(
            [self._gl.texture((width, height), 4), self._gl.texture((width, height), 4)],
            self._gl.depth_texture((width, height)),
        )
        corners = np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32)
        self._backdrop = self._gl.vertex_array(self._sky, [(self._gl.buffer(corners.tobytes()), "2f", "corner")])
        self._meshes: list[_Uploaded] = []

    def _compile(self, vertex: str, fragment: str) -> moderngl.Program:
        return self._gl.program(*(text.replace("SLOTS", str(SLOTS)) for text in (vertex, fragment)))

    def upload(self, mesh: Mesh) -> int:
        """Put *mesh* on the device and return its number."""
        vertices = self._gl.buffer(np.ascontiguousarray(mesh.vertices, np.float32).tobytes())
        faces = self._gl.buffer(np.ascontiguousarray(mesh.triangles, np.int32).tobytes())
        drawn = self._gl.vertex_array(
            self._program, [(vertices, "3f 3f 2f 1f", "position", "normal", "uv", "slot")], faces
        )
        shade = self._gl.vertex_array(self._shader, [(vertices, "3f 24x", "position")], faces)
        self._meshes.append(_Uploaded(drawn, shade, [vertices, faces]))
        return len(self._meshes) - 1

    def drop_after(self, count: int) -> None:
        """Free all meshes but the first *count*."""
        for mesh in self._meshes[count:]:
            for part in (mesh.drawn, mesh.shade, *mesh.parts):
                part.release()
        del self._meshes[count:]

    def draw(
        self, draws: list[Draw], camera: Pinhole, light: Light, middle: Floats
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """
        Return the picture, (h, w, 3) RGB, and its identities, (h, w, 2): person, and the person whose head it is.

        Shadows are looked after within 7 m of *middle*, a place on the floor.
        """
        shadow = _shadow_matrix(light.sun, middle)
        self._shade.use()
        self._shade.clear()
        self._gl.enable(moderngl.DEPTH_TEST)
        self._write(self._shader, "light", shadow.T)
        for draw in draws:
            if draw.shadow:
                self._write(self._shader, "model", draw.matrix.T)
                self._meshes[draw.mesh].shade.render()
        self._frame.use()
        self._gl.viewport = (0, 0, camera.width, camera.height)
        self._gl.clear()
        view = camera.matrix()
        self._backdrop_behind(view, camera, light)
        self._layers.use(0)
        self._depth.use(1)
        self._program["layers"], self._program["shadow"] = 0, 1
        for name in ("sun", "sun_colour", "sky", "ground", "lamp", "lamp_colour", "exposure"):
            self._write(self._program, name, getattr(light, name))
        self._write(self._program, "eye", camera.eye)
        self._write(self._program, "light", shadow.T)
        self._write(self._program, "view", view.T)
        for draw in draws:
            self._write(self._program, "model", draw.matrix.T)
            self._write(self._program, "colours", draw.colours)
            self._write(self._program, "tex", draw.textures)
            self._write(self._program, "person", [draw.person / 255, draw.person / 255, 0])
            self._meshes[draw.mesh].drawn.render()
        box = (0, 0, camera.width, camera.height)
        shape = (camera.height, camera.width, -1)
        colour = np.frombuffer(self._frame.read(box, 3, attachment=0, alignment=1), np.uint8).reshape(shape)
        identity = np.frombuffer(self._frame.read(box, 2, attachment=1, alignment=1), np.uint8).reshape(shape)
        raw = np.frombuffer(self._frame.read(box, 1, attachment=-1, dtype="f4", alignment=1), np.float32)
        depth = _metres(raw.reshape(shape[:2]))
        return _hollowed(colour, depth, camera.focal, light.hollow)[::-1], identity[::-1]

    def _backdrop_behind(self, view: npt.NDArray[np.float64], camera: Pinhole, light: Light) -> None:
        """Fill the picture with the panorama."""
        self._gl.disable(moderngl.DEPTH_TEST)
        self._panoramas[light.panorama % len(self._panoramas)].use(0)
        self._sky["panorama"] = 0
        self._write(self._sky, "back", np.linalg.inv(view).T)
        self._write(self._sky, "eye", camera.eye)
        self._write(self._sky, "exposure", light.exposure)
        self._write(self._sky, "turn", [light.panorama_turn, light.panorama_gain])
        self._backdrop.render(moderngl.TRIANGLE_STRIP)
        self._gl.enable(moderngl.DEPTH_TEST)

    @staticmethod
    def _write(program: moderngl.Program, name: str, value: object) -> None:
        """Set one uniform if the compiled program has kept it."""
        member = program.get(name, None)
        if isinstance(member, moderngl.Uniform):
            member.write(np.ascontiguousarray(value, np.float32).tobytes())


def _shadow_matrix(sun: Floats, middle: Floats) -> npt.NDArray[np.float64]:
    """Return (4, 4) world to the light's clip space, for 7 m about *middle*."""
    ahead = -np.asarray(sun, np.float64)
    side = np.cross(ahead, [0.0, 0.0, 1.0] if abs(ahead[2]) < 0.9 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    up = np.cross(side, ahead)
    turn = np.stack((side / 7, up / 7, ahead / 12))
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, -turn @ middle
    return matrix


def _metres(depth: Floats) -> Floats:
    """Return how far away what a depth buffer shows is."""
    return np.asarray(2 * _NEAR * _FAR / (_FAR + _NEAR - (2 * depth - 1) * (_FAR - _NEAR)), np.float32)


def _hollowed(picture: npt.NDArray[np.uint8], depth: Floats, focal: float, amount: float) -> npt.NDArray[np.uint8]:
    """
    Darken hollows: what lies deeper than what is on both sides of it, near by (ambient occlusion).

    Of pairs of places opposite each other, so that no slope counts (after Bavoil et al. 2008, Image-space
    horizon-based ambient occlusion); on a quarter of the pixels.
    """
    height, width = depth.shape
    deep = cv2.resize(depth, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    near = float(np.percentile(deep, 25))
    hollow = np.zeros_like(deep)
    border = 40
    padded = cv2.copyMakeBorder(deep, border, border, border, border, cv2.BORDER_REPLICATE)
    for reach in _HOLLOWS:
        px = min(border, reach * focal / near / 2)
        for across, down in _RAYS:
            dx, dy = round(across * px), round(down * px)
            sides = [
                deep - padded[border + sign * dy :, border + sign * dx :][: deep.shape[0], : deep.shape[1]]
                for sign in (1, -1)
            ]
            pit = sum(np.where(np.abs(side) < 3 * reach, side, 0) for side in sides)
            hollow += np.clip(np.asarray(pit) / (2 * reach), 0, 1)
    hollow = cv2.GaussianBlur(hollow / (len(_HOLLOWS) * len(_RAYS)), (0, 0), 1.2)
    light = np.exp(-2 * amount * cv2.resize(hollow, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.asarray(picture * light[:, :, None], np.uint8)
