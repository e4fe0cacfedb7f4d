/* EFI_USB_IO_PROTOCOL as far as it is used here, by the UEFI specification 2.10, 17.2.4; gnu-efi has no
 * declaration of it. */
#pragma once

#include <efi.h>

#define USB_IO_GUID { 0x2b2f68d6, 0x0cd2, 0x44cf, { 0x8e, 0x8b, 0xbb, 0xa2, 0x0b, 0x1b, 0x5b, 0x75 } }

typedef struct {
    UINT8 length, type, number, alternate, n_endpoints, class, subclass, protocol, name;
} __attribute__((packed)) usb_interface_t;

typedef struct {
    UINT8 length, type, address, attributes;
    UINT16 packet_bytes;
    UINT8 interval;
} __attribute__((packed)) usb_endpoint_t;

typedef EFI_STATUS(EFIAPI *usb_report_fn)(void *data, UINTN size, void *context, UINT32 status);

typedef struct usb_io usb_io_t;
struct usb_io {
    void *control_transfer, *bulk_transfer;
    EFI_STATUS(EFIAPI *async_interrupt_transfer)(usb_io_t *self, UINT8 endpoint, BOOLEAN is_new, UINTN interval_ms,
                                                 UINTN size, usb_report_fn done, void *context);
    void *sync_interrupt_transfer, *isochronous_transfer, *async_isochronous_transfer, *get_device, *get_config;
    EFI_STATUS(EFIAPI *get_interface)(usb_io_t *self, usb_interface_t *ret);
    EFI_STATUS(EFIAPI *get_endpoint)(usb_io_t *self, UINT8 index, usb_endpoint_t *ret);
};
