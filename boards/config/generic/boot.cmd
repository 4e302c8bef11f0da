# Afterglow on a board with U-Boot: names the persistent region in the device tree, and starts the kernel.
#
# `afterglow image --board generic` fills in the words between @s and makes boot.scr of it. U-Boot runs a boot.scr of a card's
# first partition by itself, both in its older way (distro_bootcmd) and in its newer one (bootstd); where there is none, it
# looks for one called boot.scr.uimg on the TFTP server that DHCP names, which is the same file.
#
# A script, not extlinux/extlinux.conf: that applies an overlay only to a device tree of the card, and many a board has its tree
# in U-Boot. And not reserve_mem= alone: U-Boot does not know that, and lies itself where the kernel would put the region.
# No apostrophe in what is echoed: U-Boot's shell takes it for a quote, inside other quotes too.

echo "afterglow: region of @SIZE@ bytes at @BASE_HIGH@ @BASE_LOW@, kernel and device tree by boot.scr"
setenv bootargs "@APPEND@"
if test -z "${distro_bootpart}"; then setenv distro_bootpart 1; fi

# Where this script came from: distro_bootcmd calls the network dhcp, bootstd ethernet, and by hand at the prompt it has no name.
setenv ag_load "load ${devtype} ${devnum}:${distro_bootpart}"
if test -z "${devtype}" || test "${devtype}" = dhcp || test "${devtype}" = ethernet; then setenv ag_load tftpboot; fi
# Where there is no address for device trees: 16 MiB behind the kernel, more than it needs.
if test -z "${fdt_addr_r}"; then setexpr fdt_addr_r ${kernel_addr_r} + 1000000; fi

# One inside the other: exit does not end a script that was sourced, and what is in RAM from before must not be started.
if ${ag_load} ${kernel_addr_r} afterglow.img; then
    if @TREE@; then
        # Room for the nodes below.
        fdt resize 1000

        # The cells are those of /reserved-memory, or, where there is none, the root's, which it then gets.
        if fdt get value ag_address_cells /reserved-memory '#address-cells'; then
            fdt get value ag_size_cells /reserved-memory '#size-cells'
        else
            fdt get value ag_address_cells / '#address-cells'
            fdt get value ag_size_cells / '#size-cells'
            fdt mknode / reserved-memory
            fdt set /reserved-memory '#address-cells' <${ag_address_cells}>
            fdt set /reserved-memory '#size-cells' <${ag_size_cells}>
            fdt set /reserved-memory ranges
        fi
        if itest ${ag_address_cells} == 2; then setenv ag_reg "@BASE_HIGH@ @BASE_LOW@"; else setenv ag_reg "@BASE_LOW@"; fi
        if itest ${ag_size_cells} == 2; then setenv ag_reg "${ag_reg} 0x0 @SIZE@"; else setenv ag_reg "${ag_reg} @SIZE@"; fi
        fdt mknode /reserved-memory @NODE@
        fdt set /reserved-memory/@NODE@ compatible afterglow,persistent-ring
        fdt set /reserved-memory/@NODE@ reg <${ag_reg}>
        fdt print /reserved-memory/@NODE@

        booti ${kernel_addr_r} - ${fdt_addr_r}
        echo "afterglow: booti gave up: its reason is in the line above"
    else
        echo "afterglow: @NO_TREE@"
    fi
else
    echo "afterglow: no afterglow.img that can be read, by: ${ag_load}"
fi
