/*
 * A V4L2 camera without a kernel: what OpenCV asks of a device with ioctl(2) is answered here (LD_PRELOAD).
 *
 * The device is an ordinary file, $FAKE_CAMERA, which serves as the memory of its four buffers. Its pictures are
 * $FAKE_FRAMES/0.jpg to 9.jpg, over and over. The file $FAKE_MODE says how it behaves:
 *
 *     ok      a new picture every 10 ms
 *     stuck   the same picture for ever, and no error: what some cameras do after they were unplugged
 *     gone    ENODEV, what the others do
 *
 * Like a real camera it gives MJPG whatever else it is asked for, 640x480 or 320x240, whichever is nearer.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFERS = 4, LENGTH = 1 << 20 };

static unsigned width = 640, height = 480, rate = 30, frame, queued[BUFFERS], waiting;

static int refuse(int code) {
    errno = code;
    return -1;
}

static int is_camera(int fd) {
    char link[64], path[4096];
    const char *camera = getenv("FAKE_CAMERA");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0 || camera == NULL)
        return 0;
    path[size] = 0;
    return strncmp(path, camera, strlen(camera)) == 0;
}

static char mode(void) {
    char word = 'o';
    int fd = open(getenv("FAKE_MODE"), O_RDONLY);
    if (fd >= 0) {
        if (read(fd, &word, 1) < 1)
            word = 'o';
        close(fd);
    }
    return word;
}

static void describe(struct v4l2_format *format) {
    format->fmt.pix.width = width;
    format->fmt.pix.height = height;
    format->fmt.pix.pixelformat = V4L2_PIX_FMT_MJPEG;
    format->fmt.pix.field = V4L2_FIELD_NONE;
    format->fmt.pix.sizeimage = LENGTH;
}

static int give_picture(int fd, struct v4l2_buffer *buffer) {
    static char picture[LENGTH];
    char path[4096];
    char now = mode();
    if (now == 'g')
        return refuse(ENODEV);
    usleep(10000);
    if (waiting == 0)
        return refuse(EAGAIN);
    snprintf(path, sizeof path, "%s/%u.jpg", getenv("FAKE_FRAMES"), frame % 10);
    int file = open(path, O_RDONLY);
    ssize_t size = read(file, picture, sizeof picture);
    close(file);
    buffer->index = queued[0];
    memmove(queued, queued + 1, --waiting * sizeof queued[0]);
    if (size < 0 || pwrite(fd, picture, (size_t)size, (off_t)buffer->index * LENGTH) != size)
        return refuse(EIO);
    buffer->bytesused = (unsigned)size;
    buffer->length = LENGTH;
    buffer->sequence = frame;
    buffer->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_DONE;
    if (now != 's')
        frame++;
    return 0;
}

static int answer(int fd, unsigned long request, void *argument) {
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;
        memset(capability, 0, sizeof *capability);
        strcpy((char *)capability->card, "a camera without a kernel");
        capability->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        capability->capabilities = capability->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index != 0)
            return refuse(EINVAL);
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)argument = 0;
        return 0;
    case VIDIOC_S_INPUT:
    case VIDIOC_STREAMOFF:
        waiting = request == VIDIOC_STREAMOFF ? 0 : waiting;
        return 0;
    case VIDIOC_STREAMON:
        return mode() == 'g' ? refuse(ENODEV) : 0;
    case VIDIOC_S_FMT: {
        struct v4l2_format *format = argument;
        width = format->fmt.pix.width > 480 ? 640 : 320;
        height = width * 3 / 4;
        describe(format);
        return 0;
    }
    case VIDIOC_G_FMT:
    case VIDIOC_TRY_FMT:
        describe(argument);
        return 0;
    case VIDIOC_S_PARM:
        rate = ((struct v4l2_streamparm *)argument)->parm.capture.timeperframe.denominator;
        return 0;
    case VIDIOC_G_PARM: {
        struct v4l2_captureparm *parameters = &((struct v4l2_streamparm *)argument)->parm.capture;
        parameters->capability = V4L2_CAP_TIMEPERFRAME;
        parameters->timeperframe.numerator = 1;
        parameters->timeperframe.denominator = rate;
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        waiting = 0;
        if (wanted->count > BUFFERS)
            wanted->count = BUFFERS;
        return ftruncate(fd, (off_t)BUFFERS * LENGTH);
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = LENGTH;
        buffer->m.offset = buffer->index * LENGTH;
        return 0;
    }
    case VIDIOC_QBUF: {
        struct v4l2_buffer *buffer = argument;
        if (mode() == 'g')
            return refuse(ENODEV);
        if (waiting == BUFFERS || buffer->index >= BUFFERS)
            return refuse(EINVAL);
        queued[waiting++] = buffer->index;
        return 0;
    }
    case VIDIOC_DQBUF:
        return give_picture(fd, argument);
    default:
        return refuse(EINVAL);
    }
}

int ioctl(int fd, unsigned long request, ...) {
    static int (*real)(int, unsigned long, void *);
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if ((request >> 8 & 0xff) == 'V' && is_camera(fd))
        return answer(fd, request, argument);
    if (real == NULL)
        real = (int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, argument);
}
